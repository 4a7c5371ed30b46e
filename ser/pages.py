"""Numbers, pictures and sounds -> one HTML page that needs nothing else: no network, no script.

The templates are in ``ser/templates``; whatever goes into one is escaped. A page carries its
pictures and sounds as data URIs and forbids the browser to load anything, so it can be mailed,
archived, or opened from MLflow's list of artifacts.
"""

from __future__ import annotations

import base64
import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2
    from matplotlib.figure import Figure

TEMPLATES = Path(__file__).parent / "templates"
DPI = 100


def render(template: str, **content: object) -> str:
    """Fill a template.

    Parameters
    ----------
    template : str
        File in ``ser/templates``.
    **content
        What it names; a name that is missing is an error.

    Returns
    -------
    str
        HTML.
    """
    return _environment().get_template(template).render(content)


def png(figure: Figure) -> str:
    """A figure as the data URI of a PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return data_uri(file.getvalue(), "image/png")


def data_uri(data: bytes, media_type: str) -> str:
    """Bytes as a URI that holds them.

    >>> data_uri(b"ser", "text/plain")
    'data:text/plain;base64,c2Vy'
    """
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


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
