"""A Flower for the tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.flower import running_flower


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where Flower's log is written."""
    return tmp_path_factory.mktemp("flower") / "flower.log"


@pytest.fixture(scope="module")
def flower(log: Path, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Lend a client of a running Flower with two logins."""
    with running_flower(log, request.getfixturevalue("valkey_server").url) as client:
        yield client
