"""``python -m ser.doctor``."""

from ser.doctor import main

main()
