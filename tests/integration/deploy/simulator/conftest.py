"""A simulator of the test's own, its clock, and the partner that it calls."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.simulator import Clock, Partner, listening_partner, simulated_betcore


@pytest.fixture(scope="module")
def partner() -> Iterator[Partner]:
    """Have a partner that takes makes."""
    with listening_partner() as partner:
        yield partner


@pytest.fixture
def clock() -> Clock:
    """Give the simulator's clock."""
    return Clock()


@pytest.fixture
def betcore(partner: Partner, clock: Clock) -> Iterator[httpx.Client]:
    """Give a client of a new simulator."""
    with simulated_betcore(partner_url=partner.url, clock=clock) as client:
        yield client
