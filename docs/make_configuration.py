"""Write docs/configuration.md from conf/: every key, its default and the comment beside it."""

from __future__ import annotations

import re
from pathlib import Path

CONF = Path(__file__).resolve().parents[1] / "conf"
PAGE = Path(__file__).parent / "configuration.md"
INTRODUCTION = """# Configuration reference

Written by `docs/make_configuration.py` from the comments in `conf/`; do not edit it here. A group's
choice is given as `GROUP=CHOICE`, a key as `KEY=VALUE`, one in a group as `GROUP.KEY=VALUE`:

```bash
python -m ser.train model=svm model.classifier.C=3 split=loso cv.n_splits=5 --cfg job
```
"""
_KEY = re.compile(r"^( *)([^\s#:][^:]*):(?:\s+(.*?))?\s*$")


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, "## Commands, and what they share\n"]
    parts += [_section(file, level=3) for file in sorted(CONF.glob("*.yaml"))]
    for group in sorted(folder for folder in CONF.iterdir() if folder.is_dir()):
        parts.append(f"## `{group.name}=`\n")
        parts += [_section(file, level=3) for file in sorted(group.glob("*.yaml"))]
    return "\n".join(parts)


def _section(file: Path, *, level: int) -> str:
    """A YAML file: its first comment, and a table of its keys."""
    lines = file.read_text(encoding="utf-8").splitlines()
    about = [line.lstrip("# ") for line in lines if line.startswith("#") and "@package" not in line]
    heading = f"{'#' * level} `{file.stem}`\n"
    rows = list(_rows(lines))
    if not rows:
        return "\n".join([heading, *about, ""])
    table = ["| key | default | |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([heading, *about, *([""] if about else []), *table, ""])


def _rows(lines: list[str]) -> list[tuple[str, str, str]]:
    """Dotted key, default and comment of every line that sets something; not Hydra's own."""
    rows, path = [], []
    for line in _joined(lines):
        code, _, comment = line.partition(" #")
        match = _KEY.match(code)
        if match is None or line.lstrip().startswith("#"):
            continue
        indent, key, value = len(match[1]) // 2, match[2].strip('"'), match[3] or ""
        path = [*path[:indent], key]
        comment = comment.strip()
        if path[0] == "defaults" and key.startswith("- "):
            rows.append((f"`{key[2:]}=`", f"`{value}`", comment))
        if path[0] in ("defaults", "hydra"):
            continue
        if value.startswith("${data."):  # handed on to the corpus: a key of its own says it
            continue
        if value or comment:
            shown = f"`{value}`".replace("|", "\\|") if value else ""
            rows.append((f"`{'.'.join(path)}`", shown, comment.replace("|", "\\|")))
    return rows


def _joined(lines: list[str]) -> list[str]:
    """Lines, with those of Hydra's block texts left out."""
    kept, block = [], None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if block is not None and (not line.strip() or indent > block):
            continue
        block = indent if line.rstrip().endswith(": |") else None
        kept.append(line)
    return kept


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
