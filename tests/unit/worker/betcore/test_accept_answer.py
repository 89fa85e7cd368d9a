"""What BETCORE's answers to accept mean: only its own envelope with 200 or 103752 settles anything."""

import pytest

from worker.betcore.accept import Verdict, read_accept_reply
from worker.betcore.accept_body import Oddity

ACKNOWLEDGED, REFUSED, PASSING = Verdict.ACKNOWLEDGED, Verdict.REFUSED, Verdict.PASSING


@pytest.mark.parametrize(
    ("status", "content", "verdict"),
    [
        (200, b'{"ErrorCode": 200, "Message": "Success"}', ACKNOWLEDGED),
        (201, b'{"ErrorCode": 200}', ACKNOWLEDGED),
        (200, b'{"ErrorCode": 200, "Value": {"ErrorCode": 102823}}', ACKNOWLEDGED),
        (200, b'{"ErrorCode": 103752, "Message": "Incorrect request parameters"}', REFUSED),
        (400, b'{"ErrorCode": 103752}', REFUSED),
        (200, b'{"ErrorCode": 102823, "Message": "Error accepting transaction"}', PASSING),
        (400, b'{"ErrorCode": 102823}', PASSING),
        (200, b'{"ErrorCode": 102145}', PASSING),
        (302, b'{"ErrorCode": 200}', PASSING),
        (400, b'{"ErrorCode": 200}', PASSING),
        (401, b'{"ErrorCode": 200}', PASSING),
        (500, b'{"ErrorCode": 200}', PASSING),
        (503, b'{"ErrorCode": 103752}', PASSING),
        (200, b'{"ErrorCode": "200"}', ACKNOWLEDGED),
        (200, b'{"errorCode": 200}', ACKNOWLEDGED),
        (200, b'{"errorCode": "200"}', ACKNOWLEDGED),
        (400, b'{"ErrorCode": "103752"}', REFUSED),
        (200, b'{"errorCode": 103752}', REFUSED),
        (200, b'{"errorCode": "102823"}', PASSING),
        (200, b'{"ErrorCode": 102823, "errorCode": 200}', PASSING),
        (200, b'{"errorCode": 200, "ErrorCode": null}', PASSING),
        (500, b'{"ErrorCode": "200"}', PASSING),
        (302, b'{"errorCode": 200}', PASSING),
        (503, b'{"errorCode": "103752"}', PASSING),
        (200, b'{"ErrorCode": "OK"}', PASSING),
        (200, b'{"ErrorCode": ""}', PASSING),
        (200, b'{"ErrorCode": " 200"}', PASSING),
        (200, b'{"ErrorCode": 200.5}', PASSING),
        (200, b'{"ErrorCode": 1e9999999999999999999}', PASSING),
        (200, b'{"Value": {"ErrorCode": 200}}', PASSING),
        (200, b'{"ErrorCode": true}', PASSING),
        (200, b'{"ErrorCode": 200.0}', ACKNOWLEDGED),
        (200, b'{"ErrorCode": 2e2}', ACKNOWLEDGED),
        (200, b'{"ErrorCode": NaN}', PASSING),
        (200, b'{"ErrorCode": [200]}', PASSING),
        (200, b'{"ErrorCode": null}', PASSING),
        (200, b'[{"ErrorCode": 200}]', PASSING),
        (200, b'"{\\"ErrorCode\\": 200}"', PASSING),
        (200, b"200", PASSING),
        (200, b"Success", PASSING),
        (200, b'{"ErrorCode": 200', PASSING),
        (200, b'{"ErrorCode": ' + b"9" * 5_000 + b"}", PASSING),
        (200, b"[" * 60_000, PASSING),
        (200, b"\xff\xfe\x00", PASSING),
        (204, b"", PASSING),
    ],
)
def test_an_answer_means(status: int, content: bytes, verdict: Verdict) -> None:
    assert read_accept_reply(status, content).verdict is verdict


@pytest.mark.parametrize(
    ("content", "oddity"),
    [
        (b'{"ErrorCode": 200}', None),
        (b'{"ErrorCode": 102823}', None),
        (b'{"errorCode": 200}', Oddity.NAME),
        (b'{"error_code": "200"}', Oddity.NAME),
        (b'{"ErrorCode": "200"}', Oddity.VALUE),
        (b'{"ErrorCode": 200.0}', Oddity.VALUE),
        (b'{"ErrorCode": "103752"}', Oddity.VALUE),
        (b"<html>", None),
    ],
)
def test_an_answer_that_was_read_leniently_says_so(content: bytes, oddity: Oddity | None) -> None:
    assert read_accept_reply(200, content).oddity is oddity


def test_an_answer_says_in_a_few_words_what_came() -> None:
    assert read_accept_reply(400, b'{"ErrorCode": 102823}').detail == "HTTP 400, ErrorCode 102823"
    assert read_accept_reply(502, b"<html>").detail == "HTTP 502 without BETCORE's envelope"
