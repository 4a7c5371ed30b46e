"""``python -m ser``: the commands, one line each."""

from __future__ import annotations

import ast
from pathlib import Path

from ser.core import streams

# Of module `ser.NAME` each; the console script is ``ser-NAME``.
COMMANDS = (
    "explore",
    "train",
    "tune",
    "compare",
    "check",
    "report",
    "predict",
    "register",
    "app",
    "ui",
    "doctor",
)


@streams.command
def main() -> None:
    """Print what there is to run."""
    print("Commands of ser; each has --help, and is installed as ser-NAME too:\n")
    for name in COMMANDS:
        print(f"  python -m ser.{name:9} {_summary(name)}")


def _summary(name: str) -> str:
    """First line of the command's docstring, without the command; nothing is imported."""
    module = Path(__file__).with_name(name)
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].partition("``: ")[2]


if __name__ == "__main__":
    main()
