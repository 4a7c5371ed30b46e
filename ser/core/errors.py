"""The error a user can mend: its message says what was given, what was expected and what to do."""

from __future__ import annotations

import re

from ser.core.printable import printable

# In Hydra's error about a feature set: the key that it stands under, in a union or in a model.
_KEY = re.compile(r"call to target 'ser\.features\..*^full_key: (\S+)$", re.DOTALL | re.MULTILINE)


class SerError(Exception):
    """A problem in the user's data, configuration or environment.

    Entry points print its message alone, without a traceback, and exit with 1. Everything
    else that is raised is a defect of `ser` and keeps its traceback. Secrets in the message are
    masked.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


def ser_error_behind(error: BaseException | None) -> SerError | None:
    """The `SerError` behind an error; what Hydra instantiates wraps it in its own.

    A feature set calls its keys ``features.NAME``; where it stands elsewhere, they are called so.
    """
    key = None
    while error is not None and not isinstance(error, SerError):
        key = _KEY.search(str(error)) or key
        error = error.__cause__
    if error is None or key is None or key[1] == "features":
        return error
    return SerError(re.sub(r"(?<![\w.])features\.(?=\w)", lambda _: f"{key[1]}.", str(error)))
