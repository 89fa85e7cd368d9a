"""Keys, Verify and Token against a BETCORE whose reply never ends: each call ends with its error."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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


CALLS: Final[dict[str, tuple[Callable[[httpx.Client, str], None], type[ProducerError | WorkerError]]]] = {
    "keys": (fetch_keys, KeysFetchFailed),
    "verify": (verify, VerifyUnavailable),
    "token": (fetch_token, BearerUnavailable),
}


@dataclass(frozen=True)
class Ended:
    """How a call ended, and what the peer had done by then."""

    error: BaseException | None
    requests: int
    trickled: int


def ended(call: str, reply: str) -> Ended:
    ask, _ = CALLS[call]
    with serving(NEVER_ENDING[reply]) as peer, http_client() as client:
        error: BaseException | None = None
        try:
            ask(client, peer.url)
        except (ProducerError, WorkerError) as failure:
            error = failure
        return Ended(error, len(peer.requests), peer.trickled)


@pytest.fixture(scope="module")
def ends() -> dict[tuple[str, str], Ended]:
    """Make all calls at once, each with a peer of its own: most of it is waiting."""
    cases = [(call, reply) for call in CALLS for reply in NEVER_ENDING]
    with ThreadPoolExecutor(len(cases)) as threads:
        return dict(zip(cases, threads.map(lambda case: ended(*case), cases), strict=True))


@pytest.mark.parametrize("reply", NEVER_ENDING)
@pytest.mark.parametrize("call", CALLS)
def test_a_reply_that_never_ends_holds_no_call_past_its_time(
    ends: dict[tuple[str, str], Ended], call: str, reply: str
) -> None:
    end = ends[call, reply]

    assert isinstance(end.error, CALLS[call][1])
    assert "Timeout" in str(end.error)
    assert end.requests == 1
    assert end.trickled < FAR_TOO_MANY_BYTES
