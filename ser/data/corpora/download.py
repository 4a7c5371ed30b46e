"""A corpus's archive: fetched so that a cut connection costs nothing, unpacked so that it is safe.

What has its final name is whole: a download gets it after its size and MD5 are right, an unpacked
folder after its last file, both by one rename.
"""

from __future__ import annotations

import io
import lzma
import re
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pooch

from ser.core.errors import SerError
from ser.core.process import temporary_folder
from ser.core.progress import announce, bar

MAX_UNPACKED = 8 * 2**30  # bytes: 13 times RAVDESS's speech, less than a disk
MAX_RATIO = 100  # unpacked to packed bytes; audio reaches 2 to 10, deflate's limit is 1032
MAX_ENTRIES = 100_000  # 13 times CREMA-D's: an empty entry costs 76 bytes in a zip, a file on disk
CHUNK = 2**16  # bytes per write: what a cut connection can lose

# What zipfile raises on a damaged zip or a method it does not know.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Archive:
    """Where a corpus is published: URL, file name, size in bytes and MD5 in hexadecimal."""

    url: str
    name: str
    size: int
    md5: str


def fetch(url: str, destination: str | Path, *, md5: str, size: int, progress: bool = True) -> Path:
    """Download a file, going on where an earlier try was cut.

    Bytes go to `destination` + ".part"; the next call asks for the rest (HTTP Range), or starts
    afresh where the server does not know ranges. A destination that is right already stays.

    Parameters
    ----------
    url : str
        Where from.
    destination : str or Path
        Where to; its folder is made.
    md5 : str
        Expected MD5, hexadecimal.
    size : int
        Expected size in bytes.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Path
        `destination`.

    Raises
    ------
    SerError
        The connection fails or is cut (the part is kept), size or MD5 are wrong (the part is
        removed), or a folder is in the place of `destination`.
    """
    destination = Path(destination)
    if destination.is_file() and _is_right(destination, md5, size):
        return destination
    if destination.is_dir():
        raise SerError(f"{url} is to become {destination}, which is a folder. Move it away.")
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        if not part.is_file() or part.stat().st_size < size:
            announce(f"Downloading {url} ({size / 1e6:.0f} MB) to {part.parent}.", shown=progress)
            _append(url, part, size, progress)
    except (OSError, ValueError) as error:  # requests' are OSErrors; ValueError: a broken header
        kept = part.stat().st_size if part.is_file() else 0
        if kept <= size:
            raise SerError(
                f"Could not fetch {url}: {error}. {kept} of {size} bytes are kept in {part}; the "
                "same command goes on from there."
            ) from error
    if not _is_right(part, md5, size):
        actual = f"{part.stat().st_size} bytes with md5 {pooch.file_hash(str(part), alg='md5')}"
        part.unlink()
        raise SerError(
            f"{url} is not what was expected: {size} bytes with md5 {md5}, got {actual}."
        )
    return part.replace(destination)


def unpack(archive: str | Path, root: str | Path, *, progress: bool = True) -> Path:
    """Unpack a zip into the folder `root`/<name of the zip without its suffix>.

    Nothing is written before all entries are known to be harmless, and nothing is visible before
    the last one is written: the folder is filled under a hidden temporary name and then renamed.

    Parameters
    ----------
    archive : str or Path
        The zip.
    root : str or Path
        Folder that receives the new folder.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    Path
        The new folder.

    Raises
    ------
    SerError
        The zip is corrupt; an entry is encrypted, a link, twice there, or would land outside of
        the folder; it would unpack to more than `MAX_UNPACKED` bytes, `MAX_RATIO` times its size or
        `MAX_ENTRIES` files; it is no file; the folder is there already; or the disk is full.
    """
    archive, root = Path(archive), Path(root)
    if not archive.is_file():
        raise SerError(f"There is no file {archive} to unpack.")
    target = root / archive.stem
    if target.exists():
        raise SerError(f"{archive} unpacks into {target}, which exists. Remove or rename that.")
    try:
        with (
            zipfile.ZipFile(archive) as source,
            temporary_folder(root) as scratch,
        ):
            _reject_harmful(source.infolist(), archive)
            folder = Path(scratch, archive.stem)
            folder.mkdir()
            _extract(source, folder, progress)
            return folder.rename(target)
    except ZIP_ERRORS as error:
        raise SerError(f"{archive} is corrupt ({error}). Remove it and fetch it again.") from error
    except OSError as error:
        raise SerError(f"Could not unpack {archive} into {root}: {error}.") from error


class _Bounded(io.BufferedWriter):
    """A file that is at most a chunk longer than it should become: some servers never end."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self.size = size

    def write(self, data: Any) -> int:
        if self.tell() > self.size:
            raise OSError(f"more than {self.size} bytes came")
        return super().write(data)


def _append(url: str, part: Path, size: int, progress: bool) -> None:
    """Add to the part what it lacks, or all where the server sends all."""
    with _Bounded(part, size) as file:

        def start_afresh(response: Any, **_: object) -> None:
            # 200: no ranges here, the whole file comes. 416: the part is no part of this file.
            if response.status_code in (200, 416):
                file.truncate(0)

        download = pooch.HTTPDownloader(
            progressbar=bar(
                total=size, desc="Downloading", unit="B", unit_scale=True, shown=progress
            ),
            chunk_size=CHUNK,
            headers={"Range": f"bytes={file.tell()}-", "Accept-Encoding": "identity"},
            hooks={"response": start_afresh},
        )
        download(url, file, None)


def _is_right(path: Path, md5: str, size: int) -> bool:
    return path.stat().st_size == size and pooch.file_hash(str(path), alg="md5") == md5


def _reject_harmful(entries: list[zipfile.ZipInfo], archive: Path) -> None:
    if len(entries) > MAX_ENTRIES:
        raise SerError(
            f"{archive} is not unpacked: it has {len(entries)} entries, at most {MAX_ENTRIES} are "
            "allowed."
        )
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if fault := _fault(entry, seen):
            raise SerError(f"{archive} is not unpacked: its entry {name!r} {fault}.")
        seen.add(_key(name))
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > min(MAX_UNPACKED, MAX_RATIO * archive.stat().st_size):
        raise SerError(
            f"{archive} is not unpacked: it would grow from {archive.stat().st_size} to {unpacked} "
            f"bytes; at most {MAX_RATIO} times its size and {MAX_UNPACKED} bytes are allowed."
        )


def _fault(entry: zipfile.ZipInfo, seen: set[str]) -> str | None:
    name, mode = entry.filename, entry.external_attr >> 16  # Unix mode, 0 where made elsewhere
    if not name:
        return "has no name"
    if name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name):
        return "has an absolute path or a drive letter"
    if not all(part.rstrip(". ") for part in PurePosixPath(name).parts):  # ".. " is ".." on some
        return "leads out of the folder"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if _key(name) in seen:
        return "is there twice"
    if entry.flag_bits & 1:
        return "is encrypted"
    return None


def _key(name: str) -> str:
    """Same for names that are the same file on some disk.

    Some ignore case, some how an accent is written, some dots and spaces at the end.
    """
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return "/".join(part.rstrip(". ") for part in PurePosixPath(plain).parts)


def _extract(source: zipfile.ZipFile, folder: Path, progress: bool) -> None:
    # zipfile never yields more than the declared size: it stops there and checks the CRC.
    entries = source.infolist()
    for entry in bar(entries, desc="unpack", unit="file", shown=progress):
        path = folder / entry.filename
        if entry.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with source.open(entry) as packed, path.open("xb") as file:
            shutil.copyfileobj(packed, file, CHUNK)
