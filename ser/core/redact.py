"""Secrets masked: whatever leaves a process (log, terminal, files, errors) goes through here.

A secret is known by the name it stands under (``token``, ``dbPassword``), by where it stands (the
password in a URL, what follows ``Bearer``), by its own shape (``ghp_...``), or because a config or
the environment has it under such a name.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ser.core.secret_names import is_secret
from ser.core.secret_places import MASK, hides, mask_places, secret_keys

_PICTURE = re.compile(r"(?<=;base64,)([A-Za-z0-9+/=]{64,})")
_BEHIND_ESCAPE = (  # letters that are no part of a word
    r"(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=%25[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})"
    r"|(?<=\\u[0-9A-Fa-f]{4})"
)
_SHORT = {" ": r"\+", "'": "''", "\n": r"\\{1,15}n", "\r": r"\\{1,15}r", "\t": r"\\{1,15}t"}
_LEAST = 8  # characters of a value that is looked for wherever it stands
_known: set[str] = set()  # such values, of the configs of this process


def masked(value: Any, name: str = "") -> Any:
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
        Under a key whose name says that it is secret (``password``, ``dbPassword``, ``hf_tokens``,
        ``api_key``, ...) everything is `MASK`, mappings and lists as a whole, but for None, True
        and False; in other texts what `without_secrets` finds is.

    Examples
    --------
    >>> masked({"storage": "postgresql://ann:pw@host/db", "hub": {"token": "abc"}, "n_tokens": 3})
    {'storage': 'postgresql://ann:***@host/db', 'hub': {'token': '***'}, 'n_tokens': 3}
    """
    if is_secret(name) and value is not None and not isinstance(value, bool):
        return MASK if hides(name, str(value)) else value
    if isinstance(value, Mapping):
        return {key: masked(inner, of) for key, inner, of in _entries(value, name)}
    if isinstance(value, list | tuple):
        items = list(_named(value, name))
        if all(isinstance(inner, str) for inner in value):  # overrides, or words of a command
            items = [(i, of) if is_secret(of) else (masked_override(i), "") for i, of in items]
        return type(value)(masked(item, of) for item, of in items)
    return without_secrets(value) if isinstance(value, str) else value


def learn(config: object) -> None:
    """Know a config's secrets, to find them wherever this process would write them."""
    _known.update(value for value in _secrets_of(config) if _is_telling(value))


def masked_override(override: str) -> str:
    """A Hydra override, or another word of a command, with its secrets masked.

    >>> masked_override("+hub.token=abc"), masked_override("model.classifier.C=3")
    ('+hub.token=***', 'model.classifier.C=3')
    >>> masked_override("+hub={user: ann, token: a b}")
    '+hub={user:ann,token:***}'
    """
    key, equals, value = override.partition("=")
    if not equals or not re.fullmatch(r"[+~]*[\w./@:\-]+", key):
        return without_secrets(override)
    if is_secret(key.lstrip("+~")):
        return f"{key}={MASK if hides(key, value) else value}"
    if any(sign in value for sign in "{[(") and any(secret_keys(value)):
        return f"{key}={_masked_value(override)}"
    return f"{key}={without_secrets(value)}"


def without_secrets(text: str) -> str:
    """A text with what is secret in it masked; hosts, users and names of databases stay.

    >>> without_secrets("at https://ann:pw@host/x?token=abc&n=1")
    'at https://ann:***@host/x?token=***&n=1'
    >>> without_secrets("host=db password='a b' dbname=log; Authorization: Bearer abc.def")
    "host=db password='***' dbname=log; Authorization: ***"
    """
    known = [_written(secret) for secret in sorted(_known | _of_environment(), key=len)]
    parts = _PICTURE.split(text)  # pictures of a page are by far most of it
    for place, part in enumerate(parts[::2]):
        for core, pattern in reversed(known):
            if core in part:
                part = pattern.sub(MASK, part)
        parts[2 * place] = mask_places(part)
    return "".join(parts)


@lru_cache(maxsize=1024)
def _written(secret: str) -> tuple[str, re.Pattern[str]]:
    """A part of a secret that nothing escapes, and a pattern of the whole, also escaped."""
    core = max(re.findall("[A-Za-z0-9]*", secret), key=len)
    signs = (sign if sign.isascii() and sign.isalnum() else _escaped(sign) for sign in secret)
    return core, re.compile(rf"(?:(?<!\w)|{_BEHIND_ESCAPE}){''.join(signs)}(?!\w)")


def _escaped(sign: str) -> str:
    """A pattern of a sign as Python, JSON, YAML, URLs and HTML write it, also inside each other."""
    code = ord(sign)
    high, low = divmod(code - 0x10000, 0x400)  # no codec: that is a file, which may not open now
    units = (code,) if code < 0x10000 else (0xD800 + high, 0xDC00 + low)
    url = "".join(f"%(?:25){{0,3}}{byte:02x}" for byte in sign.encode("utf-8", "replace"))
    entity = rf"&(?:amp;){{0,3}}(?:#0*{code}|#x0*{code:x}|{html.escape(sign)[1:-1] or '#'});"
    json = r"\\{1,15}".join(f"u{unit:04x}" for unit in units)
    plain = rf"\\{{0,15}}(?:{re.escape(sign)}|{url}|{entity})"
    return rf"(?i:{plain}|\\{{1,15}}(?:{json}|U{code:08x}|x{code:02x})|{_SHORT.get(sign, plain)})"


def _masked_value(override: str) -> str:
    """The value of an override with a mapping or a list in it, its secrets masked."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
        value = _plain(parsed.value())
    except HydraException:
        return MASK
    return MASK if parsed.is_sweep_override() else _as_override(masked(value))


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else _text_of(value)


def _text_of(value: object) -> str:
    return str(getattr(value, "text", value))  # of Hydra's QuotedString


def _as_override(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_as_override(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_as_override, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    plain = re.fullmatch(r"[\w.*/+\-]+", text)
    return text if plain else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _secrets_of(value: object, name: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner, inner_name in _entries(value, name):
            yield from _secrets_of(inner, inner_name)
            if is_secret(name) and re.search(r"\d", str(key)):  # no word: {token: {abc123: 1}}
                yield str(key)
    elif isinstance(value, list | tuple):
        for inner, inner_name in _named(value, name):
            yield from _secrets_of(inner, inner_name)
    elif isinstance(value, str) and is_secret(name):
        yield value


def _entries(mapping: Mapping[Any, Any], name: str) -> Iterator[tuple[Any, Any, str]]:
    """Each key, its value and the name of that: ``token`` in ``{name: token, value: abc}``."""
    says = mapping.get("name", mapping.get("key"))
    for key, inner in mapping.items():
        yield key, inner, f"{name}.{says if key == 'value' else key}"


def _named(words: Sequence[Any], name: str) -> Iterator[tuple[Any, str]]:
    """Each item of a list and its name: the list's, and an option before it (``--token``)."""
    option = ""
    for word in words:
        is_option = isinstance(word, str) and re.fullmatch(r"--?[A-Za-z][\w\-]*", word)
        yield word, name if is_option else f"{name}{option}"
        option = f".{word}" if is_option else ""


def _of_environment() -> set[str]:
    return {
        value
        for name, value in os.environ.items()
        if is_secret(name) and _is_telling(value) and not os.path.exists(value)  # noqa: PTH110  Path's raises of what no file can be called
    }


def _is_telling(value: str) -> bool:
    """Whether a value is no word that a text may have for another reason."""
    return len(value) >= _LEAST and not value.isalpha() and "${" not in value and value != MASK
