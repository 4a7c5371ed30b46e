"""The files of an exploration in a folder, beside the log: written anew where they are ser's."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from ser.core.errors import SerError
from ser.core.process import writing
from ser.tracking.manifest import MANIFEST, Listed, Manifest, listed, read_manifest


def make_folder(folder: Path) -> None:
    """Make a folder for an exploration's files, or use one that holds nothing else.

    Raises
    ------
    SerError
        If something else is there, or it cannot be made.
    """
    known = _known(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = listed(folder)
        links = [file for file in folder.rglob("*") if file.is_symlink()]
    except OSError as error:
        raise SerError(
            f"{folder} cannot be made: {error.strerror}. Set explore.out=<another place>."
        ) from error
    others = [folder / name for name, file in found.items() if known.get(name) != file]
    ours = folder / MANIFEST if known else None
    for file in (*links, *others):
        is_hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file != ours and not is_hidden:  # hidden are a desktop's own
            raise SerError(
                f"{file} is there and is not as ser.explore has written it: move it away, or set "
                "explore.out=<new folder>."
            )


def fill(folder: Path, source: Path) -> None:
    """Copy all files of a folder, without its permissions, and list them, so that they are known.

    Links are not followed, but replaced.

    Raises
    ------
    SerError
        If the folder cannot be written.
    """
    files = listed(source)
    try:
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with writing(folder / name) as part:
                shutil.copyfile(source / name, part)
        with writing(folder / MANIFEST) as part:
            known = _known(folder) | files
            part.write_text(Manifest(known, {}, None, {}).text(), encoding="utf-8")
    except OSError as error:
        raise SerError(
            f"{folder} cannot be filled: {error.strerror}. Set explore.out=<another place>."
        ) from error


def _known(folder: Path) -> dict[str, Listed]:
    with suppress(OSError, ValueError):
        return dict(read_manifest(folder).files)
    return {}
