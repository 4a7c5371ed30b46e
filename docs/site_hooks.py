"""For mkdocs: pages that lie outside of docs/, and links that hold on GitHub and on the site."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "experiments/**/README.md", "experiments/**/*.png")
_CODE_OR_LINK = re.compile(r"^```.*?^```|`[^`\n]*`|(?<=\]\()[^()\s]+(?=\))", re.M | re.S)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add what lies outside of docs/ under the path that it has in the repository."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages, or to its source."""
    folder = Path(page.file.abs_src_path).parent
    here = PurePosixPath(page.file.src_uri).parent

    def place(found: re.Match[str]) -> str:
        target = found[0]
        path, mark, anchor = target.partition("#")
        file = (folder / path).resolve()
        if target.startswith("`") or not path or "://" in path or not file.exists():
            return target
        if (file / "README.md").is_file():
            file /= "README.md"
        name = file.relative_to(ROOT).as_posix()
        on_site = name.removeprefix("docs/")
        if files.get_file_from_path(on_site):
            return os.path.relpath(on_site, here).replace(os.sep, "/") + mark + anchor
        return f"{config.extra['source']}/blob/main/{name}{mark}{anchor}"

    return _CODE_OR_LINK.sub(place, markdown)
