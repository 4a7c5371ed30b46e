"""``python -m ser.tune``."""

from ser.tune import main

main()
