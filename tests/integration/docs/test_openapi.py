"""The OpenAPI document against a receiver that runs: each answer that it names is given, and as it says."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import httpx
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from deploy.local.valkey import ValkeyServer
from producer.app import MAKE_PATH
from producer.receiver.events.models import MAX_EVENTS, MAX_EVENTS_BODY_BYTES
from producer.receiver.http.body import MAX_BODY_BYTES
from producer.receiver.http.protocol import MAX_HEAD_BYTES
from producer.receiver.paths import DOCUMENT_PATH, EVENT_PATH, EVENTS_PATH
from tests.support.betcore import signer
from tests.support.openapi import PAPER, Document
from tests.support.partner_keys import EDGE, KEYS, bearer, key_line
from tests.support.raw_client import all_of, connected
from tests.support.receiver import RunningReceiver, receiver_of_a_module, running_receiver

Ask = Callable[[RunningReceiver, str, str], httpx.Response]
Answer = tuple[str, str, int, Ask]


@pytest.fixture(scope="module")
def receiver(
    valkey_server: ValkeyServer, postgres_server: PostgresServer, migrated_template: str
) -> Iterator[RunningReceiver]:
    """One receiver for the whole module, with little time for a request and no cache of unknown keys."""
    with receiver_of_a_module(
        valkey_server,
        postgres_server,
        migrated_template,
        request_timeout_seconds=1,
        jwks_unknown_key_seconds=0,
        partner_keys=f"{KEYS};{key_line('poor', 'poor-key', '0.001')}",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def document() -> Document:
    return Document()


@contextmanager
def keys_away(receiver: RunningReceiver) -> Iterator[None]:
    receiver.betcore.keys = (500, b"")
    try:
        yield
    finally:
        receiver.betcore.publish(receiver.signer)


def good(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    body = json.dumps(receiver.token()) if method == "POST" else None
    return receiver.client.request(method, path, content=body)


def with_key(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    """Ask a partner's question, about an event that is on record."""
    body = json.dumps({"events": [{"token": receiver.token()}, 1]})
    handed_in = receiver.client.post(EVENTS_PATH, content=body, headers=bearer(EDGE))
    if method == "POST":
        return handed_in
    event_id = handed_in.json()["events"][0]["event_id"]
    return receiver.client.request(method, path.format(event_id=event_id), headers=bearer(EDGE))


def without_key(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    return receiver.client.request(method, path)


def partners(content: bytes) -> Ask:
    def ask(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
        return receiver.client.request(method, path, content=content, headers=bearer(EDGE))

    return ask


def spent_quota(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    body = json.dumps({"events": [1] * MAX_EVENTS}) if method == "POST" else None
    ask = partial(receiver.client.request, method, path, content=body, headers=bearer("poor-key"))
    replies = [ask() for _ in range(3)]
    return replies[-1]


def slow_events(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {EDGE}\r\nContent-Length: 9"
    return raw(receiver, f"{head}\r\n\r\na")


def no_token(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    return receiver.client.request(method, path, content=b"hello")


def strangers_token(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    return receiver.client.request(method, path, content=signer(2).token(at=time.time()))


def too_large(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    return receiver.client.request(method, path, content=b"a" * (MAX_BODY_BYTES + 1))


def unknown_key(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    with keys_away(receiver):
        return strangers_token(receiver, method, path)


def slow_body(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    return raw(receiver, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na")


def slow_head(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    return raw(receiver, f"{method} {path} HTTP/1.1\r\nHost: x\r\n")


def large_head(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    return raw(receiver, f"{method} {path} HTTP/1.1\r\nX: {'a' * MAX_HEAD_BYTES}\r\n\r\n")


def no_http(receiver: RunningReceiver, method: str, path: str) -> httpx.Response:
    return raw(receiver, f"{method} {path} HTTP/1.1\r\nno header\r\n\r\n")


def raw(receiver: RunningReceiver, request: str) -> httpx.Response:
    """Send bytes and read until the receiver closes."""
    with connected(receiver) as peer:
        peer.sendall(request.encode())
        head, _, body = all_of(peer).partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(status.split(" ")[1]), headers=headers, content=body)  # type: ignore[arg-type]


MAKE = ("POST", MAKE_PATH)
LOOKS = (("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", DOCUMENT_PATH))
HAND_IN, SHOW = ("POST", EVENTS_PATH), ("GET", EVENT_PATH)
PARTNERS = (HAND_IN, SHOW)
ALL = (MAKE, *LOOKS, *PARTNERS)
ANSWERS: list[Answer] = [
    (*MAKE, 200, good),
    (*MAKE, 400, no_token),
    (*MAKE, 401, strangers_token),
    (*MAKE, 408, slow_body),
    (*MAKE, 413, too_large),
    (*MAKE, 503, unknown_key),
    *((*operation, 200, good) for operation in LOOKS),
    *((*operation, 200, with_key) for operation in PARTNERS),
    *((*operation, 401, without_key) for operation in PARTNERS),
    *((*operation, 429, spent_quota) for operation in PARTNERS),
    (*HAND_IN, 400, partners(b"no JSON")),
    (*HAND_IN, 408, slow_events),
    (*HAND_IN, 413, partners(b"a" * (MAX_EVENTS_BODY_BYTES + 1))),
    (*HAND_IN, 422, partners(b"{}")),
    (*SHOW, 404, partners(b"")),
    *((*operation, 400, no_http) for operation in ALL),
    *((*operation, 408, slow_head) for operation in ALL),
    *((*operation, 431, large_head) for operation in ALL),
    ("POST", "/healthz", 405, good),
    ("GET", MAKE_PATH, 405, good),
    ("GET", EVENTS_PATH, 405, good),
    ("GET", "/nowhere", 404, good),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer[0]} {answer[1]} {answer[2]}")
def test_an_answer_is_as_the_document_says(
    receiver: RunningReceiver, document: Document, answer: Answer
) -> None:
    method, path, status, ask = answer

    reply = ask(receiver, method, path)

    assert reply.status_code == status
    assert document.faults(method, path, reply) == []


def test_it_is_served_as_it_is_published(receiver: RunningReceiver) -> None:
    reply = receiver.client.get(DOCUMENT_PATH)

    assert reply.headers["Content-Type"] == "application/json"
    assert reply.content == PAPER.read_bytes()


def test_where_there_is_no_room_the_answer_is_as_the_document_says(
    document: Document, redis_url: str, database_url: str
) -> None:
    with running_receiver(
        redis_url=redis_url,
        database_url=database_url,
        max_connections_per_address=1,
        jwks_unknown_key_seconds=0,
    ) as receiver:
        receiver.betcore.gate = threading.Event()
        fetches = receiver.betcore.fetches
        with connected(receiver) as busy:
            token = signer(2).token(at=time.time())
            head = f"POST {MAKE_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(token)}\r\n\r\n"
            busy.sendall((head + token).encode())
            wait_until(
                lambda: receiver.betcore.fetches > fetches, what="it looks for the key", timeout_seconds=120
            )

            for method, path in document.operations():
                reply = raw(receiver, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (reply.status_code, document.faults(method, path, reply)) == (503, [])
            receiver.betcore.gate.set()


def test_who_may_not_send_makes_is_answered_as_the_document_says(
    document: Document, redis_url: str, database_url: str
) -> None:
    with running_receiver(
        redis_url=redis_url, database_url=database_url, allowed_networks="192.0.2.0/24"
    ) as receiver:
        reply = good(receiver, *MAKE)
        # No partner has a key there, either.
        nowhere = [(*each, without_key(receiver, *each)) for each in PARTNERS]

    assert (reply.status_code, document.faults(*MAKE, reply)) == (403, [])
    for method, path, answer in nowhere:
        assert (answer.status_code, document.faults(method, path, answer)) == (404, [])


def test_each_answer_that_the_document_names_was_given(document: Document) -> None:
    given = {(method, path, status) for method, path, status, _ in ANSWERS}
    # Those without room, those of an address that may not send makes, and those where nobody has a key.
    given |= {*((*operation, 503) for operation in ALL), (*MAKE, 403), (*HAND_IN, 404)}

    assert {
        (method, path, status)
        for method, path in document.operations()
        for status in document.statuses(method, path)
    } <= given
