"""Submitting and asking by HTTP, at a small server of this suite that speaks as the receiver does.

The way from `submit` to `status` at a real one is in tests/partners/test_client.py.
"""

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from cashback_client.contract import event_id_of
from cashback_client.errors import NotSubmitted, QuotaExceeded, Refused, StatusUnknown
from tests.support.cashback_clients import AMPLE_SECONDS, BOTH, Making
from tests.support.certificates import Authority
from tests.support.partner_api import KEY, PartnerApi
from tests.support.raw_betcore import Answering, raw, reply, serving

AT_MS = 1_795_386_237_585
both = pytest.mark.parametrize("make", BOTH.values(), ids=BOTH.keys())


def token(number: int) -> str:
    return f"eyJ.e30.sig{number}"


@both
def test_an_event_is_submitted_once_and_its_status_told(make: Making) -> None:
    with (
        serving(PartnerApi()) as peer,
        make(f"{peer.url}/base/", api_key=KEY, timeout_seconds=AMPLE_SECONDS) as client,
    ):
        first, again = client.submit(token(1), AT_MS), client.submit(token(1), AT_MS + 5)
        status = client.status(str(first.event_id))
        nothing = client.status(event_id_of(token(2)))

    assert (first.event_id, first.result, again.result) == (event_id_of(token(1)), "accepted", "duplicate")
    assert json.loads(peer.requests[0].body) == {"events": [{"token": token(1), "received_at_ms": AT_MS}]}
    assert nothing is None
    assert status is not None
    assert (status.event_id, status.state, status.code) == (first.event_id, "answered", 200)
    assert status.received_at == datetime(2026, 11, 26, 12, 0, 0, 123_000, UTC)
    assert not status.unconfirmed


@both
def test_many_are_answered_one_by_one(make: Making) -> None:
    api = PartnerApi(refused={token(2): "bad_signature"}, unavailable={token(3)})
    with (
        serving(api) as peer,
        make(f"{peer.url}/base", api_key=KEY, timeout_seconds=AMPLE_SECONDS) as client,
    ):
        found = client.submit_many([token(1), "no token", token(2), (token(3), AT_MS), token(1)])
        with pytest.raises(Refused) as refused:
            client.submit(token(2))
        with pytest.raises(NotSubmitted) as not_submitted:
            client.submit(token(3))
        with pytest.raises(Refused) as no_token:
            client.submit("no token")

    assert [each.result for each in found] == ["accepted", "refused", "refused", "unavailable", "duplicate"]
    assert [each.reason for each in found] == ["", "no_token", "bad_signature", "no_copy", ""]
    assert [each.event_id for each in found] == [
        event_id_of(each) for each in (token(1), "no token", token(2), token(3), token(1))
    ]
    assert (refused.value.reason, no_token.value.reason) == ("bad_signature", "no_token")
    assert (not_submitted.value.reason, not_submitted.value.may_be_there) == ("unavailable", True)
    # What is no token was not sent.
    assert len(peer.requests) == 3


@both
def test_a_key_that_nobody_has_is_refused_access(make: Making) -> None:
    with (
        serving(PartnerApi()) as peer,
        make(f"{peer.url}/base", api_key="wrong", timeout_seconds=AMPLE_SECONDS) as client,
    ):
        with pytest.raises(NotSubmitted, match="bad_key") as error:
            client.submit(token(1))
        with pytest.raises(StatusUnknown) as unknown:
            client.status(event_id_of(token(1)))

    assert (error.value.reason, error.value.may_be_there) == ("access_refused", False)
    assert unknown.value.reason == "access_refused"


def said(reason: str) -> bytes:
    return json.dumps({"error": {"reason": reason, "detail": "so it is"}}).encode()


def one(event_id: UUID, result: str = "accepted") -> bytes:
    return json.dumps({"events": [{"event_id": str(event_id), "result": result}]}).encode()


EVENT = event_id_of(token(1))
# By what the receiver answers: the error, its reason, whether the event may be there, and what it asks for.
ANSWERS: dict[str, tuple[Answering, type[Exception], str, bool | None, float | None]] = {
    "429": (reply(429, said("quota"), "Retry-After: 7"), QuotaExceeded, "quota_exceeded", False, 7.0),
    "429 without a time": (reply(429, b""), QuotaExceeded, "quota_exceeded", False, None),
    "429 with a date": (
        reply(429, b"", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"),
        QuotaExceeded, "quota_exceeded", False, None,
    ),
    "503": (reply(503, said("overloaded"), "Retry-After: 1"), NotSubmitted, "unavailable", True, 1.0),
    "502 of a proxy": (reply(502, b"<html>"), NotSubmitted, "unavailable", True, None),
    "404 of whoever is there": (reply(404, b"Not Found"), NotSubmitted, "unavailable", False, None),
    "404 with what is no JSON": (reply(404, b"[" * 99_999), NotSubmitted, "unavailable", False, None),
    "a redirect": (reply(301, b"", "Location: /"), NotSubmitted, "unavailable", False, None),
    "413": (reply(413, said("too_large")), Refused, "too_large", None, None),
    "400": (reply(400, said("bad_json")), Refused, "bad_json", None, None),
    "400 of a proxy": (reply(400, b"<html>"), NotSubmitted, "unavailable", False, None),
    "403": (reply(403, said("not_from_here")), NotSubmitted, "access_refused", False, None),
    "no JSON": (reply(200, b"<html>"), NotSubmitted, "broken_reply", True, None),
    "nothing": (reply(200, b""), NotSubmitted, "broken_reply", True, None),
    "fewer events": (reply(200, b'{"events": []}'), NotSubmitted, "broken_reply", True, None),
    "another event": (reply(200, one(event_id_of("x"))), NotSubmitted, "broken_reply", True, None),
    "a result that nobody knows": (reply(200, one(EVENT, "maybe")), NotSubmitted, "broken_reply", True, None),
    "no HTTP": (raw(b"SSH-2.0-OpenSSH\r\n\r\n"), NotSubmitted, "broken_reply", True, None),
    "half a reply": (
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"), NotSubmitted, "broken_reply", True, None,
    ),
    "a flood of headers": (
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 9_999 + b"\r\n"), NotSubmitted, "broken_reply", True, None,
    ),
}  # fmt: skip


@both
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_what_a_receiver_answers_is_an_error_by_name(
    make: Making, answer: tuple[Answering, type[Exception], str, bool | None, float | None]
) -> None:
    answering, kind, reason, may_be_there, after_seconds = answer
    with serving(answering) as peer, make(peer.url, api_key=KEY, timeout_seconds=AMPLE_SECONDS) as client:
        with pytest.raises(kind) as error:
            client.submit(token(1))
        with pytest.raises(StatusUnknown):
            client.status(EVENT)

    assert type(error.value) is kind
    assert getattr(error.value, "reason", None) == reason
    assert getattr(error.value, "may_be_there", None) == may_be_there
    assert getattr(error.value, "retry_after_seconds", None) == after_seconds


@both
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
def test_an_answer_is_read_however_it_is_framed(make: Making, framing: str) -> None:
    body = one(EVENT)
    if framing == "length":
        answer = reply(200, body)
    elif framing == "close":
        answer = raw(b"HTTP/1.1 200 OK\r\n\r\n" + body)
    else:
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:]))
        answer = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    with serving(answer) as peer, make(peer.url, api_key=KEY, timeout_seconds=AMPLE_SECONDS) as client:
        assert client.submit(token(1)).event_id == EVENT


@both
@pytest.mark.parametrize("trusted", [True, False])
def test_a_receiver_over_tls_is_who_it_says_or_gets_no_key(
    make: Making, *, trusted: bool, tmp_path: Path
) -> None:
    ours = Authority(tmp_path / "ours", "ours")
    tls = ssl.create_default_context(cafile=str(ours.file)) if trusted else None
    with (
        serving(PartnerApi(), tls=ours.server_context(ours.holder("server"))) as peer,
        make(f"{peer.url}/base", api_key=KEY, tls=tls, timeout_seconds=AMPLE_SECONDS) as client,
    ):
        if trusted:
            assert client.submit(token(1)).result == "accepted"
            return
        with pytest.raises(NotSubmitted, match="certificate verify failed") as error:
            client.submit(token(1))

    assert (error.value.reason, error.value.may_be_there) == ("unreachable", False)
    assert peer.requests == []
