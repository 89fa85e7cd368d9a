"""Whatever `data` BETCORE signs: the receiver takes it or says no, and the worker ends what was taken."""

import itertools
import json
import time
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashback_client.contract import SettleMessage
from tests.support.accept_answers import ACK
from tests.support.handler_bench import USER, Bench, bench
from tests.support.receiver import RunningReceiver, running_receiver
from worker.domain.settlement import Done, RetryAt, State
from worker.errors import BadMessage, PayoutNotHere

# The receiver beside the test draws its pauses from the same source of randomness, whenever it likes.
pytestmark = [
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning"),
]

TOO_LARGE = "1e9999999999999999999"
TOO_SMALL = "1e-9999999999999999999"
# Python reads 4,300 digits. A body has room for one of these.
TOO_LONG = "9" * 4_301

# JSON as text, as no library would write much of it.
numbers = st.one_of(
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,22})?", fullmatch=True),
    st.sampled_from(
        [TOO_LARGE, TOO_SMALL, TOO_LONG, "-0", "-0.0", "NaN", "-Infinity", "01", "1.", ".5", "+1"]
    ),
)
texts = st.one_of(
    st.text(max_size=20).map(json.dumps),
    numbers.map(lambda number: f'"{number}"'),
    st.sampled_from([r'"\ud800"', r'"\u0000"', r'"\u00a0"', '"' + "x" * 200 + '"', '"\t"', r'"\x"', '"open']),
)
plain = st.one_of(st.sampled_from(["null", "true", "false", "[]", "{}", ""]), numbers, texts)
values = st.recursive(
    plain,
    lambda inside: st.one_of(
        st.lists(inside, max_size=3).map(lambda members: f"[{','.join(members)}]"),
        st.lists(inside, max_size=3).map(lambda members: "{" + ",".join(f'"a":{m}' for m in members) + "}"),
        st.tuples(st.integers(1, 2_000), inside).map(lambda deep: "[" * deep[0] + deep[1] + "]" * deep[0]),
    ),
    max_leaves=5,
)
# Mostly what a make carries, and odd members among them: or no data is ever read as far as the amounts.
members = st.fixed_dictionaries(
    {
        "CashbackId": st.one_of(st.none(), st.none(), st.none(), values),
        "PartnerUserId": st.one_of(st.just(f'"{USER}"'), values),
        "TransactionType": st.one_of(st.sampled_from(["1", "1", '"1"', "1.0", "-1", "2"]), values),
        "Amount": st.one_of(st.sampled_from(["10", '"10.50"', "1e1"]), values),
    },
    optional={"TaxAmount": values, "Other": values},
)
documents = st.one_of(members, members, members, values)

numbered = itertools.count(1_000)


def text_of(document: dict[str, str | None] | str) -> str:
    """Put the data together; a member without a value is a CashbackId of its own."""
    if isinstance(document, str):
        return document
    given_members = (
        (name, value if value is not None else str(next(numbered))) for name, value in document.items()
    )
    return "{" + ", ".join(f'"{name}": {value}' for name, value in given_members) + "}"


def expect_an_end(receiver: RunningReceiver, worker: Bench, text: str) -> None:
    """Send a make with this data to the receiver, and what it takes through the worker."""
    token = receiver.signer.token(at=time.time(), data=text)
    answer = receiver.make(json.dumps(token))
    # Too long a body is no matter of what it holds.
    if answer.status_code == 413:
        return
    message = SettleMessage(token=token, received_at_ms=time.time_ns() // 1_000_000)
    before = len(worker.accepts())
    if answer.status_code == 400:
        # What the receiver cannot read the worker cannot, either: it goes into quarantine, and is on record.
        with pytest.raises(BadMessage):
            worker.handle(message)
        return
    assert answer.status_code == 200, answer.text
    step = worker.handle(message)
    if isinstance(step, RetryAt):
        assert isinstance(step.error, PayoutNotHere)
        return
    assert step == Done(State.ANSWERED)
    (accept,) = worker.accepts()[before:]
    assert accept["ErrorCode"] in {200, 102145, 103753, 103801, 103804}


EXAMPLES: tuple[dict[str, str | None], ...] = (
    {"Amount": TOO_LARGE},
    {"Amount": TOO_LONG},
    {"TaxAmount": TOO_SMALL},
    {"TransactionType": TOO_SMALL},
    {"PartnerUserId": TOO_LONG},
    {"PartnerUserId": r'"\ud800"'},
    {"PartnerUserId": r'"\u0000"'},
    {"CashbackId": TOO_LARGE},
    {"Other": TOO_LARGE},
    # As deep as Python itself reads it in the receiver, and not in a worker's task.
    {"Other": "[" * 940 + "]" * 940},
)


def test_whatever_data_holds_is_taken_and_ended_or_refused(database_url: str, redis_url: str) -> None:
    with ExitStack() as stack:
        receiver = stack.enter_context(running_receiver(redis_url=redis_url, database_url=database_url))
        worker = stack.enter_context(bench(database_url, ACK))
        good = {"CashbackId": None, "PartnerUserId": f'"{USER}"', "TransactionType": "1", "Amount": "10"}

        for changes in EXAMPLES:
            expect_an_end(receiver, worker, text_of(good | changes))

        @settings(max_examples=150)
        @given(documents)
        def whatever(document: dict[str, str | None] | str) -> None:
            expect_an_end(receiver, worker, text_of(document))

        whatever()
