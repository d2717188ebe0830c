"""The rules of the house: which module may know which, how long one may get, and that each says what it is for."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import batch_runner

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(batch_runner.__file__).parent
NAME = PACKAGE.name
MODULES = sorted(PACKAGE.rglob("*.py"))
OURS = [path for path in MODULES if "fake_server" not in path.parts]

MOST_LINES = 350
LONGER: dict[str, str] = {}
"""Modules that may be longer, and why."""

BROAD_EXCEPTS = 2
"""How often `except Exception` may stand in one module."""

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
each_of_ours = pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(PACKAGE).as_posix())


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def dotted(path: Path) -> str:
    """`batch_runner.output.lines` for its file, `batch_runner.output` for the folder's `__init__`."""
    return ".".join((NAME, *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


KNOWN = {dotted(path) for path in MODULES}


def imports_in(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Every module that the import statements among `nodes` name."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are written in full"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in KNOWN else node.module for name in below)


def all_imports(path: Path) -> set[str]:
    """Wherever they stand."""
    return set(imports_in(iter(ast.walk(tree_of(path)))))


def imports_when_loaded(path: Path) -> set[str]:
    """Those that run when the module is imported: at its top level, `if TYPE_CHECKING` aside."""

    def statements(body: list[ast.stmt]) -> Iterator[ast.AST]:
        for node in body:
            if isinstance(node, ast.If) and not ast.unparse(node.test).endswith("TYPE_CHECKING"):
                yield from statements(node.body)
                yield from statements(node.orelse)
            elif isinstance(node, ast.Try):
                yield from statements(node.body)
            else:
                yield node

    return set(imports_in(statements(tree_of(path).body)))


def rooms() -> list[str]:
    """The modules and folders in the order of the package's docstring."""
    return re.findall(r"^ {4}(\w+)/? {2,}\S", batch_runner.__doc__ or "", re.MULTILINE)


def room_of(module: str) -> str:
    """The part of a dotted name after the package's, or nothing."""
    parts = module.split(".")
    return parts[1] if parts[0] == NAME and len(parts) > 1 else ""


def is_setter(node: ast.AST) -> bool:
    """The second half of a property: its getter says what it is for."""
    return any(isinstance(each, ast.Attribute) and each.attr == "setter" for each in getattr(node, "decorator_list", []))


def test_the_map_in_the_docstring_names_every_room_once() -> None:
    there = {room_of(dotted(path)) for path in MODULES} - {"", "__main__", "fake_server"}

    assert len(rooms()) == len(set(rooms()))
    assert set(rooms()) == there


@each_of_ours
def test_imports_go_one_way_along_the_map(path: Path) -> None:
    order = {room: place for place, room in enumerate(rooms())}
    here = room_of(dotted(path))
    if here not in order:  # the package itself, and its entry point
        return

    known = {room_of(module) for module in all_imports(path)} - {"", here, "fake_server"}

    assert [room for room in known if order[room] > order[here]] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {dotted(path): {module for module in imports_when_loaded(path) if module in KNOWN} for path in MODULES}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@each_module
def test_the_fake_server_and_the_client_know_nothing_of_each_other(path: Path) -> None:
    known = {room_of(module) for module in all_imports(path)} - {""}

    if path not in OURS:
        assert known <= {"fake_server"}
    elif room_of(dotted(path)) not in {"execution", "commands"}:
        assert "fake_server" not in known


@each_of_ours
def test_only_the_transport_and_its_exchange_know_the_web_client(path: Path) -> None:
    if path.name not in {"exchange.py", "transport.py"}:
        assert not {"aiohttp", "yarl"} & {module.partition(".")[0] for module in all_imports(path)}


@each_module
def test_a_module_fits_into_a_head(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()

    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= MOST_LINES or name in LONGER
    assert name not in LONGER or lines > MOST_LINES, "it has become short enough: take it off the list"


@each_module
def test_everything_public_says_what_it_is_for(path: Path) -> None:
    def silent(body: list[ast.stmt], owner: str = "") -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
                if ast.get_docstring(node) is None and not is_setter(node):
                    yield owner + node.name
                if isinstance(node, ast.ClassDef):
                    yield from silent(node.body, f"{node.name}.")

    assert ast.get_docstring(tree_of(path)) is not None
    assert list(silent(tree_of(path).body)) == []


@each_module
def test_a_broad_except_is_rare_and_gives_its_reason(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    caught = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler)]

    broad = [
        lines[node.lineno - 1]
        for node in caught
        if node.type is None or {"Exception", "BaseException"} & {part.strip("( )") for part in ast.unparse(node.type).split(",")}
    ]

    assert len(broad) <= BROAD_EXCEPTS
    assert all(re.search(r"# noqa: BLE001 - \w+", line) for line in broad)
