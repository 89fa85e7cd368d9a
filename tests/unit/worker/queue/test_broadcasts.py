"""Which broadcasts are read, and which of them are answered."""

import pytest
from celery.worker.control import Panel

from tests.support.broadcasts import MALFORMED, PING, envelope
from worker.queue.broadcasts import ANSWERED, Questions, fault_of


def test_a_question_as_celery_asks_it_is_read() -> None:
    question = PING | {"reply_to": {"exchange": "reply", "routing_key": "x"}, "ticket": "y"}

    assert fault_of(envelope(question)) is None
    assert fault_of(envelope(PING | {"pattern": "worker-1@*", "matcher": "glob"})) is None


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_none_says_why_in_a_few_words(name: str) -> None:
    fault = fault_of(MALFORMED[name])

    assert fault is not None
    assert 0 < len(fault) <= 200


def test_all_else_is_refused() -> None:
    questions = Questions(Panel.data)

    for name in set(Panel.data) - set(ANSWERED):
        assert questions[name](None, task_name="x")["error"].startswith("refused")


def test_a_question_chooses_nothing_of_what_it_is_told() -> None:
    questions = Questions({**Panel.data, "registered": lambda state, **given: (state, given)})

    assert questions["registered"]("state", taskinfoitems=["__class__"]) == ("state", {})


@pytest.mark.parametrize("name", ["ping", "shutdown"])
def test_an_argument_may_have_any_name(name: str) -> None:
    questions = Questions({**Panel.data, "ping": lambda _state: {"ok": "pong"}})

    assert questions[name]("state", state=1, self=2, _state=3).keys() in ({"ok"}, {"error"})
