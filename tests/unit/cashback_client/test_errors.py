"""The errors of a client: what they say, and that they travel."""

import copy
import pickle

import pytest

from cashback_client.errors import (
    CashbackClientError,
    ClientClosed,
    NotSubmitted,
    QuotaExceeded,
    Refused,
    StatusUnknown,
    WrongSettings,
)

ERRORS: list[CashbackClientError] = [
    WrongSettings("no URL"),
    ClientClosed("closed"),
    NotSubmitted("Redis hangs", reason="timed_out", may_be_there=True),
    NotSubmitted("Redis is away", reason="unreachable", may_be_there=False, retry_after_seconds=1.5),
    QuotaExceeded("too many", retry_after_seconds=None),
    Refused("not signed", reason="bad_signature"),
    StatusUnknown("away", reason="unavailable", retry_after_seconds=3),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{type(error).__name__} {error.reason}")
def test_an_error_is_the_same_in_another_process(error: CashbackClientError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - it is our own
        assert type(again) is type(error)
        assert (str(again), again.reason, vars(again)) == (str(error), error.reason, vars(error))


def test_an_error_says_what_is_known_and_what_to_do() -> None:
    assert str(ERRORS[2]) == "Redis hangs; the events may be submitted all the same: submit again"
    assert str(ERRORS[3]) == "Redis is away; no event was submitted: submit again"
    assert str(ERRORS[5]) == "refused (bad_signature): not signed"
    assert str(Refused("", reason="x")) == "refused (x)"
    assert str(ERRORS[6]) == "away; how the event stands is not known: ask again"


def test_wrong_settings_are_a_wrong_value_and_a_quota_is_no_submission() -> None:
    assert isinstance(ERRORS[0], ValueError)
    assert isinstance(ERRORS[4], NotSubmitted)
    assert (ERRORS[4].may_be_there, ERRORS[4].reason) == (False, "quota_exceeded")
