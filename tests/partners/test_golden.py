"""A real worker reads each golden entry: what ends it is that nobody signed its token, and nothing else."""

import pytest
import redis

from deploy.local.processes import wait_until
from tests.support.contract_files import golden_entries
from tests.support.partner_stack import PARTNER_QUEUE, WAIT_SECONDS, PartnerBench

# How a token is read and verified; what is wrong with an entry or a message has other reasons.
OF_THE_TOKEN = {"no_token", "unknown_key", "bad_signature"}


@pytest.fixture(scope="module")
def reasons(bench: PartnerBench) -> dict[bytes, str]:
    """Send all as the partner does, and return why each is in quarantine."""
    entries = [golden.entry.encode() for golden in golden_entries()]
    with redis.Redis.from_url(bench.redis_url) as client:
        client.execute_command("LPUSH", PARTNER_QUEUE, *entries)

    def kept() -> dict[bytes, str]:
        rows = bench.rows("SELECT message, reason FROM quarantine WHERE message = ANY(%s)", entries)
        return {bytes(message): reason for message, reason in rows}

    wait_until(
        lambda: len(kept()) == len(set(entries)), what="all are in quarantine", timeout_seconds=WAIT_SECONDS
    )
    return kept()


@pytest.mark.parametrize("entry", [pytest.param(each.entry, id=each.name) for each in golden_entries()])
def test_a_golden_entry_is_read_up_to_its_token(reasons: dict[bytes, str], entry: str) -> None:
    assert reasons[entry.encode()] in OF_THE_TOKEN
