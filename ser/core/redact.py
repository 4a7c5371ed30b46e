"""Secrets masked: whatever leaves a process (log, terminal, files, errors) goes through here.

A secret is known by the name it stands under (``token``, ``dbPassword``), by where it stands (the
password in a URL, what follows ``Bearer``), by its own shape (``ghp_...``), or because a config or
the environment has it under such a name.
"""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from ser.core.secret_names import is_secret, is_secret_field

MASK = "***"
# Values that hide nothing.
_NOTHING = frozenset(("", "none", "null", "true", "false", "{}", "[]", "()", MASK))
_PICTURE = re.compile(r"(?<=;base64,)([A-Za-z0-9+/=]{64,})")
_LEAST = 8  # characters of a value that is looked for wherever it stands
_known: set[str] = set()  # such values, of the configs of this process

# user:password@ of a URL: until the last @. A port, and a path with an @ behind it, are none.
_USER = re.compile(
    r"(?P<head>\b[a-z][a-z0-9+.\-]{0,30}:(?:/|\\/){1,2}[^\s/@:'\"]*):(?!\d+[/\s'\"])(?!@)(?:[^\s'\"<>@]{0,500}+@)++",
    re.I,
)
_ALONE = re.compile(  # where a user alone is a token, or has a password that says so
    r"(?P<head>\b(?:git\+)?https?:(?:/|\\/){1,2})(?!\*\*\*@)[^\s/@:'\"<>]+"
    r"(?P<tail>(?::(?:x-oauth-basic|x-token-auth)?)?@)",
    re.I,
)
_BARE = re.compile(  # ann:password@host without a scheme, localhost, a host of one word
    r"(?<![\w/:@.\-%])(?P<head>(?!mailto:)[\w.\-]++):"
    r"(?:[^\s/@:'\"]++@(?=localhost\b)|[^\s/@:'\"]{3,}+@(?=\w[\w.\-]{0,253}[.:(/])"
    r"|(?![\d.]++@)[^\s/@:'\"]{3,}+@(?=[\w\-]{1,63}+(?:[\s'\",;)\]}\\&]|\Z)))"
)
_FIELD = re.compile(r"(?P<head>[?&;](?P<key>[\w.\-]+)=)[^\s&;#'\"<>]+")
_QUOTE = r"(?:''(?=[^\s,)\]}])|\\{0,15}[\"']|&\#3[49];|&quot;)"
# A key, before its value: token=abc, "token": "abc", --token abc, or that as words of a list.
_KEY = re.compile(
    r"(?:(?<![\w.\-])(?P<key>(?:(?:api|access|private|secret) )?[\w.\-]++)"
    rf"{_QUOTE}?\s*(?:=>|[:=])(?![:=]|//)"
    rf"|(?<![\w\-])--(?P<option>[A-Za-z][\w\-]*+)(?: |\n[ \t]*+- |(?:''|{_QUOTE}),?\s+(?={_QUOTE}))"
    rf"(?!{_QUOTE}?--))[ \t]*"
)
_VALUE = re.compile(
    rf"(?P<quote>{_QUOTE})(?P<quoted>.*?)(?<!\\)(?P=quote)|[\[{{(][^\[\](){{}}]*[\])}}]?"
    r"|(?:(?:Bearer|Basic|Token|Digest|ApiKey|Negotiate)\s+)?"
    r"(?:\b[bruf]{1,2}[\"'][^\"'\n]*[\"']|[^\s&;\"'`<>,\\])+",
    re.I | re.S,
)
# "key: value" on a line of its own, to its end.
_LINE = re.compile(
    r"^(?P<head>[ \t]*+(?:- )?(?P<key>[\w.\-]++)[ \t]*+:[ \t]++)(?P<value>[^\s\"'{\[].*)$", re.M
)
_SCHEME = re.compile(r"\b(?P<head>(?:Bearer|Basic) +)(?P<value>[\w.~+/\-]{6,}=*)", re.I)
_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:gh[opusr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl(?:pat|rt|dt|ptt|cbt)-[\w\-]{16,}|hf_[A-Za-z0-9]{16,}"
    r"|(?:sk|rk|pk)[_-](?:live|test|proj|ant)[_-][\w\-]{12,}|sk-[A-Za-z0-9]{20,}|whsec_\w{16,}"
    r"|(?:xox[abeoprs]|xapp|GOCSPX)-[\w\-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w\-]{30,}|ya29\.[\w\-]{10,}"
    r"|npm_[A-Za-z0-9]{20,}|pypi-[\w\-]{16,}|dckr_pat_[\w\-]{16,}|dapi[0-9a-fA-F]{32}"
    r"|SG\.[\w\-]{16,}\.[\w\-]{16,}|eyJ[\w\-]{8,1000}+\.[\w\-]{8,}+\.[\w\-]*)"
    r"|(?<=hooks\.slack\.com/services/)[\w/\-]+|(?<=discord\.com/api/webhooks/)[\w/\-]+",
    re.S,
)


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
        return MASK if _hides(name, str(value)) else value
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
    '+hub=***'
    """
    key, equals, value = override.partition("=")
    if not equals or not re.fullmatch(r"[+~]*[\w./@:\-]+", key):
        return without_secrets(override)
    if is_secret(key.lstrip("+~")):
        return f"{key}={MASK if _hides(key, value) else value}"
    if any(sign in value for sign in "{[(") and any(_secret_keys(value)):
        return f"{key}={MASK}"
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
        parts[2 * place] = _mask_places(part)
    return "".join(parts)


@lru_cache(maxsize=1024)
def _written(secret: str) -> tuple[str, re.Pattern[str]]:
    """A part of a secret that nothing escapes, and a pattern of the whole, also escaped."""
    core = max(re.findall("[A-Za-z0-9]*", secret), key=len)
    texts = (secret, repr(secret)[1:-1], ascii(secret)[1:-1], secret.replace("'", "''"))
    dumped = (
        json.dumps(text, ensure_ascii=plain)[1:-1] for text in texts for plain in (False, True)
    )
    quoted = (
        *(quote(secret, errors="replace"), quote_plus(secret, errors="replace")),
        quote(secret, safe="", errors="replace"),
    )
    forms = {*texts, *dumped, *quoted}
    pages = {html.escape(form) for form in forms}
    forms |= pages | {page.replace("&#x27;", "&#39;").replace("&quot;", "&#34;") for page in pages}
    longest_first = sorted(forms, key=len, reverse=True)
    return core, re.compile(f"(?:{'|'.join(map(re.escape, longest_first))})(?!\\w)")


def _mask_places(text: str) -> str:
    """A text with the secrets masked that its own words give away."""
    text = _SHAPES.sub(MASK, text)
    text = _ALONE.sub(rf"\g<head>{MASK}\g<tail>", text)
    text = _USER.sub(rf"\g<head>:{MASK}@", text)
    text = _BARE.sub(rf"\g<head>:{MASK}@", text)
    text = _FIELD.sub(lambda m: f"{m['head']}{MASK}" if is_secret_field(m["key"]) else m[0], text)
    text = _without_values(_LINE.sub(_masked_line, text))
    return _SCHEME.sub(lambda m: m[0] if m["value"].isalpha() else f"{m['head']}{MASK}", text)


def _masked_line(line: re.Match[str]) -> str:
    is_one = is_secret(line["key"]) and _hides(line["key"], line["value"].strip())
    return f"{line['head']}{MASK}" if is_one else line[0]


def _without_values(text: str) -> str:
    """A text in which the values of secret keys are masked."""
    parts, end = [], 0
    for found in _KEY.finditer(text):
        key = found["key"] or found["option"]
        if found.start() < end or not is_secret(key):
            continue
        value = _VALUE.match(text, found.end())
        if value is None:
            continue
        start, stop = value.span("quoted") if value["quote"] else value.span()
        if not value["quote"] and text[start] not in "[{(":
            stop = start + len(value[0].rstrip(")]}.:"))
        if _hides(key, text[start:stop]):
            parts += [text[end:start], MASK]
            end = stop
    return "".join([*parts, text[end:]])


def _hides(key: str, value: str) -> bool:
    """Whether the value of a secret key is one: no word such as None, and no number of tokens."""
    counted = key.lower().endswith("tokens") and value.isdigit()
    return value.lower() not in _NOTHING and not counted


def _secret_keys(text: str) -> Iterator[str]:
    return (
        found["key"] for found in _KEY.finditer(text) if found["key"] and is_secret(found["key"])
    )


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
