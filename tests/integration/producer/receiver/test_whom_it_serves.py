"""Makes come from networks that are named, and what shows the inside is on a port of its own. Decision 40."""

import httpx
import pytest

from deploy.local.ports import free_port
from deploy.local.processes import wait_until
from tests.support.raw_client import POST, all_of, connected, envelope_of, status_of
from tests.support.receiver import RunningReceiver, running_receiver

STRANGERS = {"outcome": "rejected", "reason": "not_allowed"}


# It takes makes of one address, and of one network behind a proxy.
RECEIVER = {
    "allowed_networks": "127.0.0.1, 203.0.113.0/24",
    "trusted_proxies": "127.0.0.2",
    "forwarded_header": "forwarded",
}


def answer_to_make(receiver: RunningReceiver, *, source: str, headers: bytes = b"") -> bytes:
    body = receiver.token().encode()
    with connected(receiver, source=source) as peer:
        peer.sendall(POST + headers + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return all_of(peer)


@pytest.mark.parametrize(
    ("source", "headers"),
    [("127.0.0.1", b""), ("127.0.0.2", b"Forwarded: for=198.51.100.1, for=203.0.113.7;proto=https\r\n")],
)
def test_a_make_of_a_network_that_is_named_is_received(
    receiver: RunningReceiver, source: str, headers: bytes
) -> None:
    assert status_of(answer_to_make(receiver, source=source, headers=headers)) == 200


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        ("127.0.0.3", b""),
        ("127.0.0.3", b"Forwarded: for=203.0.113.7\r\n"),
        ("127.0.0.2", b""),
        ("127.0.0.2", b"Forwarded: for=203.0.113.7, for=198.51.100.1\r\n"),
        ("127.0.0.2", b"X-Forwarded-For: 203.0.113.7\r\n"),
    ],
)
def test_a_good_make_of_anybody_else_is_answered_403_and_counted(
    receiver: RunningReceiver, source: str, headers: bytes
) -> None:
    before = receiver.metric("cashback_makes_total", **STRANGERS)

    reply = answer_to_make(receiver, source=source, headers=headers)

    assert (status_of(reply), envelope_of(reply)["ErrorCode"]) == (403, 403)
    assert receiver.metric("cashback_makes_total", **STRANGERS) == before + 1


def test_nothing_of_a_strangers_body_is_waited_for(receiver: RunningReceiver) -> None:
    with connected(receiver, source="127.0.0.3") as peer:
        peer.sendall(POST + b"Content-Length: 16000\r\n\r\n")
        reply = all_of(peer)

    assert status_of(reply) == 403


def test_whoever_may_send_no_makes_may_ask_for_health(receiver: RunningReceiver) -> None:
    with connected(receiver, source="127.0.0.3") as peer:
        peer.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert status_of(all_of(peer)) == 200


def test_with_an_inner_port_each_port_serves_what_is_its_own(redis_url: str, database_url: str) -> None:
    inner_port = free_port()
    with (
        running_receiver(
            redis_url=redis_url, database_url=database_url, ready=False, inner_port=inner_port
        ) as receiver,
        httpx.Client(base_url=f"http://127.0.0.1:{inner_port}", timeout=120) as inner,
    ):
        wait_until(
            lambda: inner.get("/readyz").status_code == httpx.codes.OK,
            what="it is ready",
            timeout_seconds=120,
        )
        pages = ("/healthz", "/readyz", "/metrics")
        outside = [receiver.client.get(page) for page in pages]
        # Whatever the request says of where it goes.
        spoofed = receiver.client.get("/metrics", headers={"Host": f"127.0.0.1:{inner_port}"})
        make = receiver.make_event()
        make_inside = inner.post("/cashback-payments/make", content=receiver.token())
        inside = [inner.get(page).status_code for page in pages]

    assert [reply.status_code for reply in outside] == [200, 404, 404]
    assert outside[1].json()["ErrorCode"] == spoofed.status_code == 404
    assert (make.status_code, make_inside.status_code) == (200, 404)
    assert inside == [200, 200, 200]
