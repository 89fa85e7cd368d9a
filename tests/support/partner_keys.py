"""Partners that hand in events over HTTP, as tests have them."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import httpx

from producer.receiver.paths import EVENTS_PATH
from tests.support.betcore import cashback
from tests.support.receiver import RunningReceiver

EDGE = "edge-key"
MOBILE = "mobile-key"


def key_line(name: str, key: str, rate: str = "") -> str:
    """Return the line of a key as its setting has it."""
    return f"{name} {sha256(key.encode()).hexdigest()} {rate}".strip()


KEYS = f"{key_line('edge', EDGE, '100000')};{key_line('mobile', MOBILE, '100000')}"


# Nobody settles what these receivers take, and none of it is refused for that.
PATIENT: dict[str, Any] = {"deadline_seconds": 600, "shed_wait_seconds": 500}


def bearer(key: str) -> dict[str, str]:
    """Return the header that a key comes in."""
    return {"Authorization": f"Bearer {key}"}


def hand_in(receiver: RunningReceiver, events: Sequence[object], *, key: str = EDGE) -> httpx.Response:
    """Hand in events with a key."""
    return receiver.client.post(EVENTS_PATH, json={"events": events}, headers=bearer(key))


def results_of(reply: httpx.Response) -> list[dict[str, Any]]:
    """Return the results of a request that was taken."""
    assert reply.status_code == httpx.codes.OK, reply.text
    results: list[dict[str, Any]] = reply.json()["events"]
    return results


def kinds_of(reply: httpx.Response) -> list[str]:
    """Return what each event of a request came to."""
    return [each["result"] for each in results_of(reply)]


def why(reply: httpx.Response) -> tuple[int, str]:
    """Return the status and the reason of a request that was not taken."""
    return reply.status_code, reply.json()["error"]["reason"]


def event_of(receiver: RunningReceiver, cashback_id: int, **members: object) -> dict[str, object]:
    """Return an event whose token BETCORE signed just now."""
    return {"token": receiver.token(cashback(cashback_id))} | members


def state_of(receiver: RunningReceiver, event_id: object, *, key: str = EDGE) -> httpx.Response:
    """Ask how an event stands."""
    return receiver.client.get(f"{EVENTS_PATH}/{event_id}", headers=bearer(key))
