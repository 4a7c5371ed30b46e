"""Where secrets stand in a text: in URLs, behind secret keys, behind ``Bearer``, by their shape."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

from ser.core.secret_names import is_secret, is_secret_field

MASK = "***"
# Values that hide nothing.
NOTHING = frozenset(("", "none", "null", "true", "false", "{}", "[]", "()", MASK))

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
_BARE = re.compile(  # ann:password@host without a scheme, tcp(host), localhost, a host of one word
    r"(?<![\w/:@.\-%])(?P<head>(?!mailto:)[\w.\-]++):"
    r"(?:[^\s/@:'\"]++@(?=localhost\b)|[^\s/@:'\"]{3,}+@(?=\w[\w.\-]{0,253}[.:(/])"
    r"|(?![\d.]++@)[^\s/@:'\"]{3,}+@(?=[\w\-]{1,63}+(?:[\s'\",;)\]}\\&]|\Z)))"
)
_FIELD = re.compile(r"(?P<head>[?&;](?P<key>[\w.\-]+)=)[^\s&;#'\"<>]+")
# A key and its value: token=abc, "token": "abc", 'token': ['abc'], --token abc, or that as words of
# a list. A key may have quotes, also escaped ones.
_PAIR = re.compile(
    r"(?:(?<![\w.\-])(?P<key>(?:(?:api|access|private|secret) )?[\w.\-]++)"
    r"(?:\\{0,15}[\"']\]?|''|&#3[49];|&quot;)?\s*(?P<sep>=>|[:=]|%3D|\\u003d)(?![:=]|//)"
    r"|(?<![\w\-])--(?P<option>[A-Za-z][\w\-]*+)"
    r"(?: |\n[ \t]*+- |(?P<end>''|\\{0,15}[\"']),?\s+(?=(?P=end)))(?!--|(?P=end)--))[ \t]*"
)
_BY = r"(?:Bearer|Basic|Token|Digest|ApiKey|Negotiate)"
_QUOTED = (
    r"(?P<quote>''(?=[^\s,)\]}])|\\{0,15}[\"']|&\#3[49];|&quot;)"
    r"(?P<quoted>(?:''(?=\w)|.)*?)(?<!\\)(?P=quote)(?!'\w)"
)
_PIECE = (  # of a value without quotes: a string that is an argument, and a comma within
    r"(?:\b[bruf]{1,2}|\()[\"'][^\"'\n]*[\"']|\\.|[^\s&;\"'`<>\\,]"
    r"|,(?!\s|[{\[]|[\"']?[\w.\-]{1,80}[\"']?\s*[:=]|$)"
)
_VALUE = re.compile(rf"{_QUOTED}|(?:{_BY}\s+)?(?P<bare>(?:{_PIECE})+)", re.I | re.S)
# "key: value" on a line of its own; and the lines below that stand further in than some.
_LINE = re.compile(
    r"^(?P<indent>[ \t]*+)(?:- )?(?P<key>[\w.\-]++)[ \t]*+:(?P<value>[ \t]+[^\s\"'{\[].*|[ \t]*)$",
    re.M,
)
_BELOW = re.compile(r"(?:\n[ \t]*+(?=\n))*+\n(?P<indent>[ \t]*+)(?P<item>- )?\S.*")
_WORD_OF_COMMAND = re.compile(r"[\[,] ?(?P<quote>[\"'])[+~\-]*\Z")  # in a list: '+hub.token=a b'
_BRACKET = re.compile(r"[\[\](){}]")
_QUOTE = r"\\{0,15}[\"']"
# Further forms: what stands before the value, and its key where it is not secret by its form.
_OTHERS = tuple(
    re.compile(rf"(?P<head>{head})(?P<value>{value})", re.I)
    for head, value in (
        (
            r"\b(?:name|key)[\"']?[ ]?[:=][ ]?[\"']?(?P<key>[\w.\-]{1,80})[\"']?,[ ]?"
            r"[\"']?value[\"']?[ ]?[:=][ ]?[\"']?",
            r"[^\s,}\"']+",
        ),
        (rf"\({_QUOTE}(?P<key>[\w.\-]{{1,80}}){_QUOTE}, ?{_QUOTE}", r"[^\\\"'\n]+"),
        (
            rf"(?<![\w.\-])(?P<key>[\w.\-]{{1,80}}+)"
            rf"(?:\[\d{{1,6}}\](?:{_QUOTE})? ?[:=] ?(?:{_QUOTE})?|==(?=[^\s=]))",
            r"[^\s,;&\\\"')\]}]+",
        ),
        (r"<(?P<key>[\w.\-]{1,80})>", r"[^<>]{1,1000}(?=</)"),
        (r"(?<![\w\-])--(?P<key>[\w\-]{1,80}),(?!-)", r"[^\s,\]]+"),
        (r"\blogin \S{1,200} password ", r"\S+"),
        (rf"\bIDENTIFIED BY {_QUOTE}", r"[^\\\"']+"),
        (r"(?:^|\s)(?:-u|--user)[ =][\w.\-]{1,80}:", r"[^\s\"']+"),
        (r"\b(?:mysql|mysqldump|mariadb) (?:[^\n]{0,200}? )??-p", r"[^\s\"']+"),
        (r"\bjdbc:oracle:\w{1,20}:\w{1,80}/", r"[^\s@]{1,200}(?=@)"),
    )
)
_SCHEME = re.compile(r"\b(?P<head>(?P<by>Bearer|Basic) +)(?P<value>[\w.~+/\-]{6,}=*)", re.I)
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


def mask_places(text: str) -> str:
    """A text with the secrets masked that its own words give away.

    >>> mask_places("postgresql://ann:pw@host/db, api_key = abc")
    'postgresql://ann:***@host/db, api_key = ***'
    """
    text = _SHAPES.sub(MASK, text)
    text = _ALONE.sub(rf"\g<head>{MASK}\g<tail>", text)
    text = _USER.sub(rf"\g<head>:{MASK}@", text)
    for place in _OTHERS:
        text = place.sub(_masked_if_secret, text)
    text = _BARE.sub(rf"\g<head>:{MASK}@", text)
    text = _FIELD.sub(lambda m: f"{m['head']}{MASK}" if is_secret_field(m["key"]) else m[0], text)
    text = _without_values(_without_lines(text))
    return _SCHEME.sub(lambda m: f"{m['head']}{MASK}" if _is_token(m) else m[0], text)


def _masked_if_secret(found: re.Match[str]) -> str:
    key = found.groupdict().get("key")
    if key is not None and not (is_secret(key) and hides(key, found["value"])):
        return found[0]
    return f"{found['head']}{MASK}"


def hides(key: str, value: str) -> bool:
    """Whether the value of a secret key is one: no word such as None, and no number of tokens."""
    counted = key.lower().endswith("tokens") and value.isdigit()
    return value.lower() not in NOTHING and not counted


def secret_keys(text: str) -> Iterator[str]:
    """Keys of a text, of which the values are secret."""
    return (pair["key"] for pair in _PAIR.finditer(text) if pair["key"] and is_secret(pair["key"]))


def _without_lines(text: str) -> str:
    """A text in which YAML's values are masked: the rest of the line, and lines further in."""
    parts, end = [], 0
    for line in _LINE.finditer(text):
        if line.start() < end or not is_secret(line["key"]):
            continue
        stop = _end_of_block(text, line)
        if hides(line["key"], text[line.start("value") : stop].strip()):
            mask = MASK if line["value"].strip() else f"'{MASK}'"  # of a block, so that it is YAML
            parts += [text[end : line.start("value")], f" {mask}"]
            end = stop
    return "".join([*parts, text[end:]])


def _end_of_block(text: str, line: re.Match[str]) -> int:
    """Where the lines below a line end that stand further in, or are the items of its list."""
    indent, stop = line["indent"], line.end()
    while below := _BELOW.match(text, stop):
        inner = below["indent"]
        if not inner.startswith(indent) or (inner == indent and not below["item"]):
            break
        stop = below.end()
    return stop


def _without_values(text: str) -> str:
    """A text in which the values of secret keys are masked."""
    parts, end = [], 0
    for pair in _PAIR.finditer(text):
        if pair.start() < end or not is_secret(pair["key"] or pair["option"]):
            continue
        start, stop = _place_of_value(text, pair)
        if hides(pair["key"] or pair["option"], text[start:stop]):
            parts += [text[end:start], MASK]
            end = stop
    return "".join([*parts, text[end:]])


def _place_of_value(text: str, pair: re.Match[str]) -> tuple[int, int]:
    """Where the value of a key begins and ends."""
    if text.startswith(("[", "{", "("), pair.end()):
        return pair.end(), _end_of_brackets(text, pair.end())
    found = _VALUE.match(text, pair.end())
    if found is None:
        return pair.end(), pair.end()
    if found["quote"] is not None:
        return found.span("quoted")
    word = _WORD_OF_COMMAND.search(text, max(pair.start() - 5, 0), pair.start())
    if word and pair["sep"] == "=":
        closing = text.find(word["quote"], pair.end())
        return pair.end(), closing if closing >= 0 else len(text)
    value = found[0].rstrip(")]}.,:\\")
    return found.start(), found.start() + len(value)


def _end_of_brackets(text: str, start: int) -> int:
    """Where the bracket that opens at `start` is closed; the end of the text if nowhere."""
    depth = 0
    for place in _BRACKET.finditer(text, start):
        depth += 1 if place[0] in "[({" else -1
        if depth == 0:
            return place.end()
    return len(text)


def _is_token(match: re.Match[str]) -> bool:
    """Whether what follows Bearer or Basic is a token, and no word of a sentence."""
    if match["by"].lower() == "bearer":
        return not match["value"].isalpha()
    try:
        return b":" in base64.b64decode(match["value"], validate=True)
    except ValueError:  # also of letters that are no ASCII
        return False
