"""One receiver for each module that asks for it, with the settings that the module names."""

from collections.abc import Iterator

import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from tests.support.receiver import RunningReceiver, receiver_of_a_module


@pytest.fixture(scope="module")
def receiver(
    request: pytest.FixtureRequest,
    valkey_server: ValkeyServer,
    postgres_server: PostgresServer,
    migrated_template: str,
) -> Iterator[RunningReceiver]:
    """Run the receiver of a module; its settings are the module's RECEIVER."""
    with receiver_of_a_module(
        valkey_server, postgres_server, migrated_template, **request.module.RECEIVER
    ) as running:
        yield running
