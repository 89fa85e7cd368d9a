"""The whole service, and a directory that holds of the project what a partner is given, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.partner_examples import BY_HTTP, BY_REDIS, Desk
from tests.support.partner_stack import PARTNER, PartnerBench, partner_stack, url_of_partner


@pytest.fixture(scope="session")
def bench(server_directory: Path) -> Iterator[PartnerBench]:
    """Run everything on this machine, with a user for each example who bears its name."""
    desk = Desk.laid(server_directory / "partner")
    users = [PARTNER, *(example.name for example in (*BY_REDIS, BY_HTTP))]
    with partner_stack(server_directory / "partners", users=users) as stack:
        yield PartnerBench(stack, desk, url_of_partner(stack))
