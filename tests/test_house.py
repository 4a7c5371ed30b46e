"""What keeps the code enterable: sizes, floors, arguments (docs/design.md)."""

import ast
from functools import cache
from pathlib import Path
from statistics import median

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ser"
MODULES = sorted(PACKAGE.rglob("*.py"))
# scikit-learn's contracts: estimators whose parameters are their constructor's.
OF_SKLEARN = {"__init__"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def functions():
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, FUNCTIONS):
                yield f"{file.relative_to(PACKAGE)}:{node.lineno} {node.name}", node


def test_a_newcomer_who_lists_the_package_sees_few_names():
    assert len([entry for entry in PACKAGE.iterdir() if entry.name != "__pycache__"]) <= 21


def test_modules_are_short():
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {file.name: n for file, n in lines.items() if n > 400} == {}
    assert (
        median(n for file, n in lines.items() if file.name not in ("__init__.py", "__main__.py"))
        < 160
    )


def test_functions_are_short():
    long = {name: node.end_lineno - node.lineno + 1 for name, node in functions()}
    assert {name: n for name, n in long.items() if n > 60} == {}


def test_nothing_takes_more_than_six_arguments():
    many = {}
    for name, node in functions():
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        many[name] = len([a for a in given if a.arg not in ("self", "cls")])
    many = {name: n for name, n in many.items() if n > 6 and name.split()[-1] not in OF_SKLEARN}
    assert many == {}


def test_the_import_graph_has_eight_floors():
    grimp = pytest.importorskip("grimp", reason="comes with import-linter")
    graph = grimp.build_graph("ser", exclude_type_checking_imports=True, cache_dir=None)

    def room(module):
        return ".".join(module.split(".")[:2])

    below = {room(module): set() for module in graph.modules}
    for module in graph.modules:
        imported = graph.find_modules_directly_imported_by(module)
        below[room(module)] |= {room(other) for other in imported} - {room(module)}

    @cache
    def floor(name):  # a circle would be a recursion without an end
        return 1 + max(map(floor, below[name]), default=0)

    assert max(map(floor, below)) <= 8
