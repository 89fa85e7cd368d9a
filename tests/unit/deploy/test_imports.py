"""The whitelist of imports: what nobody allowed breaks it, whatever it is."""

import grimp
import pytest
from importlinter import Contract

from tests.support.import_whitelist import WhitelistContract

ROOM = "worker.domain"
MODULES = (ROOM, f"{ROOM}.money", "worker.errors", "worker.errors_too", "cashback_client", "producer.copies")
LIBRARIES = ("decimal", "httpx")


def contract(**options: object) -> Contract:
    return WhitelistContract(
        name="a room", session_options={}, contract_options={"room": ROOM, "allowed": [], **options}
    )


def graph(*imported: str) -> grimp.ImportGraph:
    """Make a graph in which a module of the room imports these."""
    made = grimp.ImportGraph()
    for module in MODULES:
        made.add_module(module)
    for library in LIBRARIES:
        made.add_module(library, is_squashed=True)
    for each in imported:
        made.add_import(importer=f"{ROOM}.money", imported=each)
    return made


def test_a_room_may_import_itself_and_the_standard_library() -> None:
    assert contract().check(graph(ROOM, "decimal"), verbose=False).kept


@pytest.mark.parametrize("module", ["httpx", "worker.errors", "cashback_client"])
def test_what_nobody_allowed_breaks_the_contract(module: str) -> None:
    check = contract().check(graph("decimal", module), verbose=False)

    assert not check.kept
    assert check.metadata["broken"] == [f"{ROOM}.money must not import {module}"]


def test_what_is_allowed_is_meant_to_the_letter() -> None:
    allowing = contract(allowed=["worker.errors"])

    assert allowing.check(graph("worker.errors"), verbose=False).kept
    assert not allowing.check(graph("worker.errors_too"), verbose=False).kept


def test_a_contract_of_one_package_looks_at_no_other() -> None:
    taking = contract(of="producer", allowed=["cashback_client"])

    assert taking.check(graph("cashback_client", "worker.errors", "httpx"), verbose=False).kept
    assert not taking.check(graph("producer.copies"), verbose=False).kept
