"""Numbers, pictures and sounds -> one HTML page that needs nothing else: no network, no script.

The templates are in ``ser/report/templates``; whatever goes into one is escaped. A page carries its
pictures and sounds as data URIs and forbids the browser to load anything, so it can be mailed,
archived, or opened from MLflow's list of artifacts.
"""

from __future__ import annotations

import base64
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ser.core.errors import SerError
from ser.core.printable import printable
from ser.core.process import writing

if TYPE_CHECKING:
    import jinja2

    from ser.report.style import Figure

TEMPLATES = Path(__file__).parent / "templates"
# How every page begins: ser/report/templates/base.html.
MARK = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="ser">
"""


def render(template: str, **content: object) -> str:
    """Fill a template.

    Parameters
    ----------
    template : str
        File in ``ser/report/templates``.
    **content
        What it names; a name that is missing is an error.

    Returns
    -------
    str
        HTML, from which whoever writes it (`write_page`, `Run.text`) takes what is secret.
    """
    return _environment().get_template(template).render(content)


def png(figure: Figure) -> str:
    """A figure as the data URI of a PNG."""
    return data_uri(figure.png(), "image/png")


def data_uri(data: bytes, media_type: str) -> str:
    """Bytes as a URI that holds them.

    >>> data_uri(b"ser", "text/plain")
    'data:text/plain;base64,c2Vy'
    """
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def check_free(file: Path) -> None:
    """Refuse to write over a file that is not a page made here.

    Raises
    ------
    SerError
        If something else is there.
    """
    if not os.path.lexists(file):
        return
    if file.is_file():
        with file.open("rb") as opened:
            if opened.read(len(MARK)) == MARK:
                return
    raise SerError(f"{file} is there and is no page of ser's: give another place.")


def write_page(file: Path, html: str, remedy: str) -> str:
    """Write a page, without secrets, and the folder for it; its size in words.

    Raises
    ------
    SerError
        If it cannot be written, which ends with the remedy; or something else is there.
    """
    html = printable(html)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with writing(file) as part:
            part.write_text(html, encoding="utf-8", newline="\n")
            check_free(file)
    except OSError as error:
        raise SerError(f"{file} cannot be written: {error.strerror}. {remedy}") from error
    return f"{len(html.encode()) / 1e6:.1f} MB"


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
