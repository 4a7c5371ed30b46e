"""Names of keys whose values are secret: ``token``, ``dbPassword``, ``api_keys``, ``PGPASSWD``."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain, pairwise


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# One of a key's words, singular and in lower case.
_WORDS = _words(
    "auth authorization bearer cookie cred jwt mnemonic oauth otp pass passcode passw sas sessionid"
)
# What a word, or two words that follow each other, may end with.
_ENDS = (
    *_words("password passwd passphrase passwort pswd pw pwd secret token credential"),
    *_words("connectionstring connstr idrsa sessionid webhookurl"),
    *(
        f"{kind}key"
        for kind in _words(
            "access account api app auth client consumer deploy encryption functions hmac licence "
            "license master openai pass priv private secret service session shared sharedaccess "
            "signing ssh storage subscription"
        )
    ),
)
_STARTS = ("password", "passphrase", "apikey")
# With one of these, a token is a piece of text and a pass is a walk through data.
_COUNTED = _words(
    "n num number count max min total avg mean per stop pad eos bos unk cls sep mask all band high "
    "low"
)
# Behind one of these names: a number, a place or a kind, and not the secret itself.
_ABOUT = _words(
    "count dim dir dropout embedding embeddings file folder index kind len length limit method "
    "path ratio size sock timeout ttl type uri url"
)
_IN_LINKS = _words("sig signature key credential")  # of a URL's query
_PASSES = _words("allpass bandpass bypass compass encompass highpass lowpass surpass")  # no words
_VARIABLE = re.compile(r"[A-Z0-9_]*_(?:KEY|PAT)")  # as services name their variables: OPENAI_KEY
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether a key's name says that its value is secret: a dotted part does, or ``api.key``.

    >>> [is_secret(name) for name in ("PGPASSWORD", "hfToken", "hub.api.keys", "credentials.user")]
    [True, True, True, True]
    >>> any(map(is_secret, ("tokenizer", "max_tokens", "monkey", "low_pass", "token_file")))
    False
    """
    names = re.split(r"[./@]", re.sub(r"\[\d+\]\Z", "", name))
    parts = [_split(part) for part in names]
    keys = (first + last for first, last in pairwise(parts) if last in (["key"], ["keys"]))
    odd = (name.lower() in _ENDS for name in names)  # pAsSwOrD
    return any(chain(map(_is_secret, chain(parts, keys)), map(_VARIABLE.fullmatch, names), odd))


def is_secret_field(name: str) -> bool:
    """Whether a field of a URL's query is: links that are signed have further ones."""
    return is_secret(name) or not _IN_LINKS.isdisjoint(_split(name)[-1:])


def _split(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _is_secret(words: list[str]) -> bool:
    while words and words[-1].isdigit():
        words = words[:-1]
    if not words or (words[-1] in _ABOUT and words[-2:] != ["webhook", "url"]):
        return False
    for number, word in enumerate(words):
        single = word if word.endswith("ss") else word.removesuffix("s")
        both = "".join(words[max(number - 1, 0) : number]) + single
        if single == "pass" and number < len(words) - 1:
            continue  # pass_through; a password is db_pass
        if single in ("token", "pass") and not _COUNTED.isdisjoint(words):
            continue
        if single.endswith("pass") and single not in _PASSES:
            return True
        if single in _WORDS or both.endswith(_ENDS) or word.startswith(_STARTS):
            return True
    return False
