"""``python -m ser.explore``."""

from ser.explore import main

main()
