"""A checksum of what is kept as JSON, so that what a disk has changed is not taken for true."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

CHECKSUM = "crc"  # key that holds it, beside those that it is of


def checksum(record: Mapping[str, object]) -> int:
    """CRC-32 of all keys but `CHECKSUM`, in whatever order.

    >>> checksum({"a": 1.5, "b": None}) == checksum({"b": None, "a": 1.5, "crc": 7})
    True
    """
    rest = {key: value for key, value in record.items() if key != CHECKSUM}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())


def is_whole(record: Mapping[str, object]) -> bool:
    """Whether a record is as it was written; one of an older ser has no checksum, and counts."""
    return record.get(CHECKSUM) in (None, checksum(record))
