"""``python -m ser.check``."""

from ser.check import main

main()
