"""What the docs name is there: files, dotted names of ser, options of the commands."""

import ast
import re
from functools import cache
from pathlib import Path

import ser

CHECKOUT = Path(__file__).resolve().parents[1]
PATTERNS = ("*.md", ".github/*.md", "docs/**/*.md", "mlruns/*.md", "experiments/**/*.md")
PAGES = [page for pattern in PATTERNS for page in sorted(CHECKOUT.glob(pattern))]
PAGES += sorted(CHECKOUT.glob("conf/**/*.yaml"))
PAGES += [CHECKOUT / ".ci" / "run", CHECKOUT / "Makefile"]
PAGES.remove(CHECKOUT / "CHANGELOG.md")  # has the names of older versions
PLACEHOLDERS = re.compile(r"\b(NAME|MODEL|N)\b")
OF_OTHERS = {"--help", "--hydra-help", "--cfg", "--info", "--package", "--config-dir"}
OF_OTHERS |= {"--backend-store-uri"}  # of MLflow


@cache
def written_by_the_reader():
    """Files of docs/extending.md, and the modules that they are."""
    text = (CHECKOUT / "docs" / "extending.md").read_text(encoding="utf-8")
    files = re.findall(r"^```(?:python|yaml)\n# (\S+)$", text, re.M)
    return {name for file in files for name in (file, module_name(file))}


def module_name(file):
    return file.removesuffix(".py").replace("/", ".")


def is_there(dotted):
    """Whether a module has the name; by its source, as it may need an extra."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        place = CHECKOUT.joinpath(*parts[:n])
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if file.is_file():
            return not parts[n:] or parts[n] in names_in(file)
    return False


@cache
def names_in(file):
    """All that a module defines or imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


def lacking(look):
    """Page -> what `look` does not find of its text."""
    by_page = {
        str(page.relative_to(CHECKOUT)): look(page.read_text(encoding="utf-8")) for page in PAGES
    }
    return {page: sorted(names) for page, names in by_page.items() if names}


def test_files_are_there():
    of_reader = written_by_the_reader()

    def look(text):
        files = re.findall(r"(?<![\w/.-])(?:ser|conf|tests|docs|benchmarks|\.ci)/[\w./-]*\w", text)
        wanted = {file for file in files if not PLACEHOLDERS.search(file)} - of_reader
        return {file for file in wanted if not (CHECKOUT / file).exists()}

    assert lacking(look) == {}


def test_dotted_names_are_there():
    of_reader = written_by_the_reader()

    def look(text):
        names = set(re.findall(r"(?<![\w/.-])ser(?:\.[A-Za-z_]\w*)+", text))
        wanted = {name for name in names if not PLACEHOLDERS.search(name)}
        wanted = {name for name in wanted if name.rpartition(".")[0] not in of_reader}
        return {name for name in wanted if not is_there(name)}

    assert lacking(look) == {}


def test_the_version_is_the_same_everywhere():
    released = re.search(r"^## (\d\S+) - (\S+)$", (CHECKOUT / "CHANGELOG.md").read_text(), re.M)
    citation = (CHECKOUT / "CITATION.cff").read_text()
    assert f"\nversion: {ser.__version__}\ndate-released: {released[2]}\n" in citation
    assert released[1] == ser.__version__


def test_options_are_there():
    known = "".join(file.read_text(encoding="utf-8") for file in CHECKOUT.glob("ser/**/*.py"))

    def look(text):
        commands = re.findall(r"(?:python -m ser\.|\bser-)\w+ [^\n`#]*", text)
        options = {o for line in commands for o in re.findall(r"(?<=\s)--\w[\w-]*", line)}
        return {option for option in options - OF_OTHERS if f'"{option}"' not in known}

    assert lacking(look) == {}
