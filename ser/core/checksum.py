"""A checksum of what is kept as JSON, so that what a disk has changed is not taken for true."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

CHECKSUM = "crc"  # key that holds it, beside those that it is of


def checksum(record: Mapping[str, object]) -> int:
    """CRC-32 of all keys but `CHECKSUM`, as JSON: the same before it is written and once read back.

    >>> import json
    >>> record = {"a": 1.5, "b": {10: None, 9: "x"}}
    >>> is_whole(json.loads(json.dumps({**record, "crc": checksum(record)})))
    True
    """
    rest = {key: value for key, value in record.items() if key != CHECKSUM}
    return zlib.crc32(json.dumps(rest).encode())  # unsorted: as text, 10 stands before 9


def is_whole(record: Mapping[str, object]) -> bool:
    """Whether a record is as it was written; one of an older ser has no checksum, and counts."""
    return record.get(CHECKSUM) in (None, checksum(record))
