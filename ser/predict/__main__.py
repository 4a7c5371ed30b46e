"""``python -m ser.predict``."""

from ser.predict import main

main()
