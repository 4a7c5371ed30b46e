"""What comes from outside, made fit for where it goes: a terminal, a path, Markdown.

Names of runs, clips, labels and speakers are data. One may hold a newline, an escape sequence that
moves the cursor, bytes that are no text, or a path that leads elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, TextIO

from ser.core.redact import without_secrets

_LONGEST = 120  # bytes of a file's name: most disks take 255, and more is put behind it
# Controls, what turns the direction of writing or ends a line, and bytes that are no text.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_RETURN = re.compile(r"(?!\A)\r(?!\n)")  # but a progress bar's, which begins a text
_UP = re.compile("[\r\n]*(\x1b\\[A)+")  # a progress bar's below another
_NO_FILE = re.compile(r"""[^\w.,=+@()\[\]{}'~!#$&; -]""")
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)  # Windows's, in any folder
_MARKDOWN = re.compile(r"[\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def shown(name: object) -> str:
    r"""A name as it stands in a line: what is no sign to be seen is written as Python writes it.

    >>> print(shown("happy"), shown("a\n\x1b[31mb"), shown("bad\udcff.wav"))
    happy a\n\x1b[31mb bad\xff.wav
    """
    return _UNSEEN.sub(_escaped, str(name))


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8: bytes that are none come to Python as surrogates."""
    return not any("\ud800" <= sign <= "\udfff" for sign in name)


def printable(text: str) -> str:
    r"""A text of several lines as a terminal may have it: without secrets, and without controls.

    >>> print(printable("a\x1b[2J\nb"))
    a\x1b[2J
    b
    """
    if _UP.fullmatch(text):
        return text
    text = _RETURN.sub(_escaped, without_secrets(text))
    return _UNSEEN.sub(lambda sign: sign[0] if sign[0] in "\n\t\r" else _escaped(sign), text)


def guard(*streams: TextIO) -> None:
    """Let through these streams of a command's only what is `printable`, whoever writes it."""
    for stream in streams:
        if not hasattr(stream, "before_guard"):
            _guard(stream)


def file_name(name: str) -> str:
    """A name as one part of a path: itself, or what of it every disk takes and a digest of all.

    >>> file_name("svm-loso"), file_name("../../x")
    ('svm-loso', '.._.._x-9cdf6a50')
    """
    plain = _NO_FILE.sub("_", shown(name)).rstrip(". ").lstrip(" ")
    plain = f"_{plain}" if _DEVICE.fullmatch(plain) else plain
    if plain == name and plain.strip(".") and len(name.encode()) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = plain.encode()[: _LONGEST - 9].decode(errors="ignore")
    return f"{plain}-{digest}"


def markdown(name: object) -> str:
    r"""A name as it stands in Markdown, where its signs mean nothing.

    >>> print(markdown("happy"), markdown("![x](http://host/y)"))
    happy !\[x\](http://host/y)
    """
    return _MARKDOWN.sub(r"\\\g<0>", shown(name))


def markdown_code(text: str) -> str:
    """Text as code within a line of Markdown, whatever backticks it has.

    >>> print(markdown_code("a b"), markdown_code("a`b"))
    `a b` `` a`b ``
    """
    text = shown(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"`{text}`"


def _guard(stream: Any) -> None:
    stream.before_guard = stream.write
    stream.write = lambda text: stream.before_guard(printable(text))


def _escaped(sign: re.Match[str]) -> str:
    if "\udc80" <= sign[0] <= "\udcff":  # a byte of a file's name that is no UTF-8
        return f"\\x{ord(sign[0]) - 0xDC00:02x}"
    return sign[0].encode("unicode_escape").decode()
