"""``python -m ser.train``."""

from ser.train import main

main()
