"""Secrets of a config or a command, masked: passwords and tokens never reach the log."""

from __future__ import annotations

import re
from collections.abc import Mapping

MASK = "***"
# Names of keys; a unit or count, as `n_tokens`, is none.
_SECRET_NAME = re.compile(
    r"(^|[_.\-])(password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|"
    r"credentials?|auth)($|[_.\-])",
    re.IGNORECASE,
)
# user:password@ of a URL, and its query's fields, such as ?password=...
_USER = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.\-]*://)(?P<user>[^\s/@:'\"]*):(?P<rest>[^\s/'\"]*)@"
)
_ALONE = re.compile(r"\b(?P<scheme>https?://)[^\s/@:'\"]+@")  # where a user alone is a token
_FIELD = re.compile(r"(?P<name>[?&;](?P<key>[\w.\-]+)=)[^\s&;#'\"]*")


def masked(value: object, name: str = "") -> object:
    """A config with its secrets masked.

    Parameters
    ----------
    value : mapping, sequence or scalar
        Plain values, as of ``OmegaConf.to_container``.
    name : str
        Key that has it.

    Returns
    -------
    same kind as `value`
        Under a key whose name says that it is secret (``password``, ``db_password``, ``token``,
        ``api_key``, ...) every scalar is `MASK`, but for None; in other texts the credentials of
        URLs are.

    Examples
    --------
    >>> masked({"storage": "postgresql://ann:pw@host/db", "hub": {"token": "abc"}, "n_tokens": 3})
    {'storage': 'postgresql://ann:***@host/db', 'hub': {'token': '***'}, 'n_tokens': 3}
    """
    if isinstance(value, Mapping):
        return {
            key: masked(inner, f"{name}.{key}" if _is_secret(name) else str(key))
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(masked(inner, name) for inner in value)
    if value is not None and _is_secret(name):
        return MASK
    return without_password(value) if isinstance(value, str) else value


def masked_override(override: str) -> str:
    """A Hydra override with its secrets masked.

    >>> masked_override("+hub.token=abc"), masked_override("model.classifier.C=3")
    ('+hub.token=***', 'model.classifier.C=3')
    """
    key, equals, value = override.partition("=")
    if not equals:
        return override
    last = key.lstrip("+~")
    return f"{key}={MASK if _is_secret(last) else without_password(value)}"


def without_password(text: str) -> str:
    """A text whose URLs have their credentials masked.

    >>> without_password("at https://ann:pw@host/x?token=abc&n=1")
    'at https://ann:***@host/x?token=***&n=1'
    """
    text = _USER.sub(rf"\g<scheme>\g<user>:{MASK}@", text)
    text = _ALONE.sub(rf"\g<scheme>{MASK}@", text)
    return _FIELD.sub(
        lambda field: f"{field['name']}{MASK}" if _is_secret(field["key"]) else field[0], text
    )


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None
