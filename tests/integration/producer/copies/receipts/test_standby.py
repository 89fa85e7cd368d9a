"""Receipts whose commits wait for a standby that is away: their backends stay, and few more are made."""

import asyncio
from pathlib import Path

from producer.copies.errors import CopyFailed
from producer.copies.receipts.recording import Receipts
from tests.support.futures import end_of
from tests.support.receipts import event, ids_in, with_receipts
from tests.support.synchronous import backends, migrated_server, operator_on, wait_for_standby

SIZE = 3
CALL_SECONDS = 0.4
EVENTS = 60
APPLICATION = "cashback-receiver"


def test_backends_stay_within_the_pools_size_and_receipts_are_made_again_afterwards(
    own_directory: Path,
) -> None:
    with migrated_server(own_directory) as server, operator_on(server) as connection:
        most = 0

        async def work(receipts: Receipts) -> None:
            nonlocal most
            await end_of(receipts.record, event(0))
            wait_for_standby(connection, "nobody")
            made = []
            for number in range(1, EVENTS):
                made.append(end_of(receipts.record, event(number)))
                await asyncio.sleep(CALL_SECONDS / 4)
                most = max(most, backends(connection, APPLICATION))
            outcomes = await asyncio.gather(*made, return_exceptions=True)
            assert [outcome for outcome in outcomes if not isinstance(outcome, CopyFailed)] == []

            wait_for_standby(connection, "")
            while True:
                try:
                    await end_of(receipts.record, event(EVENTS))
                    break
                except CopyFailed:
                    await asyncio.sleep(CALL_SECONDS)

        with_receipts(server.url, work, timeout_seconds=CALL_SECONDS, pool_size=SIZE)

        assert SIZE <= most <= SIZE + 1
        assert {event(0).event_id, event(EVENTS).event_id} <= ids_in(server.url)
