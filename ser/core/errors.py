"""The error a user can mend: its message says what was given, what was expected and what to do."""

from __future__ import annotations


class SerError(Exception):
    """A problem in the user's data, configuration or environment.

    Entry points print its message alone, without a traceback, and exit with 1. Everything
    else that is raised is a defect of `ser` and keeps its traceback.
    """
