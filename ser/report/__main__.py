"""``python -m ser.report``."""

from ser.report import main

main()
