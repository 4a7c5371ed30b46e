"""Keys of metrics and parameters: MLflow takes few signs, and labels may hold any."""

from __future__ import annotations

import hashlib
import posixpath
import re

_LIMIT = 250  # characters, of MLflow
_LEGAL = re.compile(r"[\w./ -]+")
_MARK = re.compile(r"-[0-9a-f]{8}$")


def legal_key(key: str) -> str:
    """A key as MLflow takes it: itself, or its letters and digits and a digest of all of it.

    Two keys never become one. What MLflow reads as a path must be one in its shortest form.

    >>> legal_key("test_recall_happy"), legal_key("test_recall_happy (excited)")
    ('test_recall_happy', 'test_recall_happy_excited-0c486b06')
    """
    if _LEGAL.fullmatch(key) and len(key) <= _LIMIT and _is_short(key) and not _MARK.search(key):
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    letters = re.sub(r"[^\w-]+", "_", key).strip("_")
    return f"{letters[: _LIMIT - 50]}-{digest}"


def _is_short(key: str) -> bool:
    return key == posixpath.normpath(key) and key != "." and not key.startswith(("..", "/"))
