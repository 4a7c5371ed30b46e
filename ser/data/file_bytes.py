"""What a file holds, in memory or not, for code that looks at bytes here and there."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, TypeAlias, overload

_PORTION = 2**20  # bytes


class FileBytes:
    """What a file holds, read where it is looked at: as much of `bytes` as containers are read by.

    Parameters
    ----------
    file : file object
        Open for reading bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, os.fstat(file.fileno()).st_size

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, key: int) -> int: ...

    @overload
    def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: int | slice) -> int | bytes:
        if isinstance(key, int):
            return self[key : key + 1][0]
        start, stop, _ = key.indices(self._size)
        self._file.seek(start)
        return self._file.read(max(stop - start, 0))

    def startswith(self, prefix: bytes | tuple[bytes, ...], start: int = 0) -> bool:
        """As of `bytes`."""
        longest = len(prefix) if isinstance(prefix, bytes) else max(map(len, prefix))
        return self[start : start + longest].startswith(prefix)

    def endswith(self, suffix: bytes, start: int, end: int) -> bool:
        """As of `bytes`."""
        return self[max(start, end - len(suffix)) : end].endswith(suffix)

    def rfind(self, part: bytes, start: int = 0, end: int | None = None) -> int:
        """As of `bytes`."""
        end = self._size if end is None else end
        while end - start >= len(part):
            low = max(start, end - _PORTION)
            if (at := self[low:end].rfind(part)) >= 0:
                return low + at
            if low == start:
                break
            end = low + len(part) - 1
        return -1

    def rewound(self) -> int:
        """The file's descriptor, at the start."""
        self._file.seek(0)
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        return self._file.fileno()


class Bytes(io.BytesIO):
    """Bytes in which nothing is before the start.

    From a broken header libsndfile computes such places, and an exception here would become a
    traceback on standard error that nobody can catch.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._size = len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of a file, but to the start where it would go before it."""
        start = (0, self.tell(), self._size)[whence]
        return super().seek(max(0, start + offset))


Data: TypeAlias = bytes | FileBytes


def behind_zeros(data: Data, start: int) -> int:
    """Where the zeros end that stand at a place."""
    while portion := data[start : start + _PORTION]:
        rest = portion.lstrip(b"\0")
        start += len(portion) - len(rest)
        if rest:
            break
    return start
