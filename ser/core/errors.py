"""The error a user can mend: its message says what was given, what was expected and what to do."""

from __future__ import annotations

from ser.core.printable import printable


class SerError(Exception):
    """A problem in the user's data, configuration or environment.

    Entry points print its message alone, without a traceback, and exit with 1. Everything
    else that is raised is a defect of `ser` and keeps its traceback. Secrets in the message are
    masked.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


def ser_error_behind(error: BaseException | None) -> SerError | None:
    """The `SerError` behind an error; what Hydra instantiates wraps it in its own."""
    while error is not None and not isinstance(error, SerError):
        error = error.__cause__
    return error
