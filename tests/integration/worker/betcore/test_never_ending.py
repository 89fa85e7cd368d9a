"""Keys, Verify and Token against a BETCORE whose reply never ends: each call ends with its error."""

from collections.abc import Callable
from typing import Final

import httpx
import pytest

from producer.protocol.errors import KeysFetchFailed, ProducerError
from producer.protocol.keys import KeySet
from producer.protocol.verify_endpoint import VerifyEndpoint, VerifyUnavailable
from producer.shared.outgoing import http_client
from tests.support.raw_betcore import NEVER_ENDING, serving
from worker.betcore.token_endpoint import TokenEndpoint
from worker.errors import BearerUnavailable, WorkerError

TIMEOUT_SECONDS: Final = 1.5
# One every 20 ms: the peer needs 20 s for them, and longer where it is slow.
FAR_TOO_MANY_BYTES: Final = 1_000


def fetch_keys(client: httpx.Client, url: str) -> None:
    KeySet(
        betcore_url=url,
        client=client,
        refresh_seconds=300,
        unknown_key_seconds=0,
        timeout_seconds=TIMEOUT_SECONDS,
        retired_key_seconds=0,
        max_age_seconds=86_400,
    ).fetch()


def verify(client: httpx.Client, url: str) -> None:
    VerifyEndpoint(betcore_url=url, client=client, timeout_seconds=TIMEOUT_SECONDS).vouches_for("a.b.c")


def fetch_token(client: httpx.Client, url: str) -> None:
    TokenEndpoint(client, base_url=url, credentials={"Secret": "s"}, timeout_seconds=TIMEOUT_SECONDS).fetch()


@pytest.mark.parametrize("reply", NEVER_ENDING)
@pytest.mark.parametrize(
    ("ask", "failure"),
    [(fetch_keys, KeysFetchFailed), (verify, VerifyUnavailable), (fetch_token, BearerUnavailable)],
    ids=["keys", "verify", "token"],
)
def test_a_reply_that_never_ends_holds_no_call_past_its_time(
    ask: Callable[[httpx.Client, str], None], failure: type[ProducerError | WorkerError], reply: str
) -> None:
    with serving(NEVER_ENDING[reply]) as peer, http_client() as client:
        with pytest.raises(failure, match="Timeout"):
            ask(client, peer.url)

        assert len(peer.requests) == 1
        assert peer.trickled < FAR_TOO_MANY_BYTES
