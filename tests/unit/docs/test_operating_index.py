"""What the operator's pages say of `make up` and `cashback trigger` is so."""

import re

from deploy.local.environment import ROOT
from deploy.local.stack.ports import FIRST_PORT, SERVICES
from worker.cli.simulator.makes import KINDS

INDEX = (ROOT / "docs" / "operating" / "README.md").read_text("utf-8")


def test_the_ports_are_those_of_make_up() -> None:
    named = re.search(r"receiver (\d+), simulator (\d+), Flower (\d+), Valkey (\d+), PostgreSQL (\d+)", INDEX)

    assert named is not None
    assert [int(port) for port in named.groups()] == list(range(FIRST_PORT, FIRST_PORT + len(SERVICES)))


def test_every_kind_of_make_has_its_line() -> None:
    _, _, table = INDEX.partition("| `cashback trigger` | ends |")
    cells = [row.split(" | ")[0] for row in table.splitlines() if row.startswith("| `")]

    assert [kind for cell in cells for kind in re.findall(r"`([\w-]+)`", cell)] == list(KINDS)
