"""What BETCORE's answers to accept mean: only its own envelope with 200 or 103752 settles anything."""

import pytest

from worker.betcore.accept import Verdict, read_accept_reply

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
        (200, b'{"ErrorCode": "200"}', PASSING),
        (200, b'{"ErrorCode": true}', PASSING),
        (200, b'{"ErrorCode": 200.0}', PASSING),
        (200, b'{"ErrorCode": 2e2}', PASSING),
        (200, b'{"ErrorCode": NaN}', PASSING),
        (200, b'{"ErrorCode": [200]}', PASSING),
        (200, b'{"ErrorCode": null}', PASSING),
        (200, b'{"errorCode": 200}', PASSING),
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


def test_an_answer_says_in_a_few_words_what_came() -> None:
    assert read_accept_reply(400, b'{"ErrorCode": 102823}').detail == "HTTP 400, ErrorCode 102823"
    assert read_accept_reply(502, b"<html>").detail == "HTTP 502 without BETCORE's envelope"
