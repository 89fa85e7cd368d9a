"""The papers name rooms, modules, classes and functions that there are, where they are."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.local.environment import ROOT

ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOTTED = re.compile(r"`((?:cashback_client|producer|worker|deploy)(?:\.\w+)+)`")
CLIENT = ROOT / "producer" / "client" / "cashback_client"
MOST_MODULES = 12


def rows_of(paper: Path) -> list[list[str]]:
    lines = [line for line in paper.read_text("utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def steps_of(paper: Path) -> list[tuple[str, str]]:
    """Return each function that a table names beside its module, in two cells side by side."""
    return [
        (module.strip("`"), name)
        for row in rows_of(paper)
        for module, functions in pairwise(row)
        if re.fullmatch(r"`[\w/]+\.py`", module) and re.fullmatch(r"(`[\w.]+`(, )?)+", functions)
        for name in re.findall(r"`([\w.]+)`", functions)
    ]


def defined_in(module: Path) -> set[str]:
    """Return the classes, functions and constants of a module, and methods with their class before them."""
    return _names(ast.parse(module.read_text("utf-8")).body)


def _names(body: list[ast.stmt], prefix: str = "") -> set[str]:
    found = set()
    for node in body:
        if isinstance(node, ast.ClassDef):
            found |= {prefix + node.name} | _names(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(prefix + node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(prefix + node.target.id)
    return found


def is_there(dotted: str) -> bool:
    """Whether `package.module.Name` is a folder, a module, or what a module defines."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        path = (CLIENT if parts[0] == CLIENT.name else ROOT / parts[0]).joinpath(*parts[1:length])
        if path.is_dir():
            return length == len(parts)
        if (module := path.with_suffix(".py")).is_file():
            return length == len(parts) or ".".join(parts[length:]) in defined_in(module) | {"app"}
    return False


def test_every_room_has_its_line() -> None:
    rooms = {
        f"{path.parent.relative_to(ROOT).as_posix()}/"
        for package in ("producer", "producer/client", "worker")
        for path in (ROOT / package).glob("*/__init__.py")
    }

    documented = {row[0].strip("`") for row in rows_of(ARCHITECTURE) if re.fullmatch(r"`[\w/]+/`", row[0])}
    assert documented == rooms


def test_a_room_has_no_more_modules_than_can_be_told_apart() -> None:
    rooms = {
        path.parent
        for package in ("producer", "worker", "deploy")
        for path in (ROOT / package).rglob("__init__.py")
    }
    modules = {room: len(list(room.glob("*.py"))) - 1 for room in rooms}

    assert len(rooms) > 20
    assert {
        str(room.relative_to(ROOT)): count for room, count in modules.items() if count > MOST_MODULES
    } == {}


def test_what_the_steps_name_is_there() -> None:
    steps = steps_of(ARCHITECTURE)

    assert len(steps) > 20
    assert [step for step in steps if step[1] not in defined_in(ROOT / step[0])] == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: str(paper.relative_to(ROOT)))
def test_what_a_paper_names_is_there(paper: Path) -> None:
    assert [name for name in DOTTED.findall(paper.read_text("utf-8")) if not is_there(name)] == []


@pytest.mark.parametrize("name", ["worker.nothing", "worker.handling.handler.Nothing", "worker.app.nothing"])
def test_a_wrong_name_is_found(name: str) -> None:
    assert is_there("worker.handling")
    assert is_there("worker.handling.handler.Handler.handle")
    assert not is_there(name)
