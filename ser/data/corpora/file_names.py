"""Corpora whose file names tell all about their clips: what most corpora share.

A corpus of this kind is one constant, a `Corpus`: a parser, which turns a path into what its name
says, what is published of it, and a name for messages. Its YAML names the constant's `load` as the
``_target_`` and has a label table, which turns the emotion codes of its names into words. Here is
what they share: files are found, names that do not fit are named, and clips that are there twice,
codes that the table lacks and counts that differ from the published ones are said.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ser.core.errors import SerError
from ser.data.corpora import AUDIO_SUFFIXES, absolute, audio_files, check_name, with_durations

Fields = dict[str, str | int]
Labels = Mapping[str, str | None]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A published corpus and the grammar of its file names.

    Attributes
    ----------
    name : str
        What messages call it.
    choice : str
        Its YAML in ``conf/data``: ``data=CHOICE``, and ``SER_CHOICE_ROOT`` names its folder.
    n_clips : int
        As published.
    source : str
        Where it is got and on what terms, as the end of a sentence that starts with "get it".
    parse : callable
        Path -> what the name says: `actor` first, then `code` (of the emotion) and whatever else
        tells clips apart, then what follows from these, such as `gender`. None for a file that is
        well named and no clip of this corpus. Raises SerError for a name out of the grammar.
    suffixes : tuple of str
        Of the files that are looked at.
    """

    name: str
    choice: str
    n_clips: int
    source: str
    parse: Callable[[Path], Fields | None]
    suffixes: tuple[str, ...] = AUDIO_SUFFIXES

    def load(
        self, root: str | Path, *, labels: Labels, leave_out: Sequence[str] = ()
    ) -> pd.DataFrame:
        """Clip table of the corpus's files under a folder, however nested.

        Parameters
        ----------
        root : str or Path
            Folder of the corpus.
        labels : mapping of str to str or None
            Emotion code -> word; None leaves the clips of this code out.
        leave_out : sequence of str
            File names, without suffix, of single clips to leave out.

        Returns
        -------
        DataFrame
            path, emotion, what the parser tells but the code, duration (s), sr (Hz); sorted by the
            parser's fields, so that the order does not depend on folders.

        Raises
        ------
        SerError
            There are no clips, a name is out of the grammar, a clip is there twice, a code is not
            in `labels`, or fewer than two emotions are left.
        """
        root = absolute(root)
        clips = self.parsed_clips(root)
        if not clips:
            raise SerError(f"No {self.name} clips under {root}. {self._advice(root)}")
        if len(clips) != self.n_clips:
            log.warning(
                "%s in %s has %d clips; %d are published",
                self.name,
                root,
                len(clips),
                self.n_clips,
            )
        _check_codes(clips, self, labels)
        kept = _kept(clips, self, labels, leave_out)
        emotions = sorted({str(labels[_code(fields)]) for fields in kept.values()})
        if len(emotions) < 2:
            raise SerError(
                f"{self.name} in {root} has clips of {len(emotions)} emotions ({emotions}) by "
                "data.labels: a model needs two or more."
            )
        rows = [
            {"path": str(path), "emotion": labels[_code(fields)], **fields}
            for path, fields in kept.items()
        ]
        return with_durations(pd.DataFrame(rows).drop(columns="code"))

    def parsed_clips(self, root: Path) -> dict[Path, Fields]:
        """Path -> what its name says, of every clip under a folder, sorted by what the names say.

        Raises
        ------
        SerError
            A name is out of the grammar, or a clip is there twice.
        """
        path_of: dict[tuple[str | int, ...], Path] = {}
        clips: dict[Path, Fields] = {}
        for path in audio_files(root):
            if not path.name.lower().endswith(self.suffixes):
                continue
            check_name(path)
            try:
                fields = self.parse(path)
            except SerError as error:
                raise SerError(
                    f"{path}: {error}. Move it out of the corpus folder, or name the folder that "
                    f"has {self.name} by data.root or {self._variable}."
                ) from None
            if fields is None:
                continue
            first = path_of.setdefault(tuple(fields.values()), path)
            if first is not path:
                raise SerError(f"One clip is there twice: {first} and {path}. Remove one of them.")
            clips[path] = fields
        return dict(sorted(clips.items(), key=lambda item: [str(v) for v in item[1].values()]))

    @property
    def _variable(self) -> str:
        """Environment variable that names the corpus's folder."""
        return f"SER_{self.choice.upper()}_ROOT"

    def _advice(self, root: Path) -> str:
        """What to do where the corpus is not there."""
        return (
            f"Get it {self.source}. Put it into {root}, or name its folder by data.root (with "
            f"data={self.choice}) or by the environment variable {self._variable}. Or try "
            "data=demo, which needs no download."
        )


def match(pattern: re.Pattern[str], stem: str, *, name: str, expected: str) -> dict[str, str]:
    """Named groups of a file name.

    Raises
    ------
    SerError
        The whole name does not match.

    Examples
    --------
    >>> match(re.compile("(?P<actor>..)_(?P<code>.)"), "DC_a", name="SAVEE", expected="DC_a")
    {'actor': 'DC', 'code': 'a'}
    """
    matched = pattern.fullmatch(stem)
    if matched is None:
        raise SerError(f"{stem!r} is no {name} name: expected {expected}")
    return {key: value or "" for key, value in matched.groupdict().items()}


def _check_codes(clips: Mapping[Path, Fields], corpus: Corpus, labels: Labels) -> None:
    for path, fields in clips.items():
        code = _code(fields)
        if code not in labels:
            raise SerError(
                f"{path}: the emotion code {code!r} is not in the label table of "
                f"conf/data/{corpus.choice}.yaml ({', '.join(labels)}). If the name is right, add "
                f"+data.labels.{code}=WORD, or +data.labels.{code}=null to leave such clips out."
            )


def _kept(
    clips: Mapping[Path, Fields], corpus: Corpus, labels: Labels, leave_out: Sequence[str]
) -> dict[Path, Fields]:
    """The clips that are neither unwanted nor of an unwanted emotion; the others are counted."""
    unwanted = [path for path in clips if path.stem in leave_out]
    codes = Counter(
        _code(fields)
        for path, fields in clips.items()
        if labels[_code(fields)] is None and path not in unwanted
    )
    left_out = [f"{count} of code {code} (data.labels)" for code, count in sorted(codes.items())]
    left_out += [f"{path.name} (data.leave_out)" for path in unwanted]
    if left_out:
        log.warning("%s: left out are %s", corpus.name, ", ".join(left_out))
    return {
        path: fields
        for path, fields in clips.items()
        if path not in unwanted and labels[_code(fields)] is not None
    }


def _code(fields: Fields) -> str:
    """Of the emotion."""
    return str(fields["code"])
