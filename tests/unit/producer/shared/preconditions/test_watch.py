"""What is found while a process runs: said when it begins and when it ends, and believed when it stays."""

import pytest
from structlog.testing import capture_logs

from producer.shared.preconditions.verdict import NEVER, Kind, Unmet, Verdict, raise_if_fatal
from producer.shared.preconditions.watch import Findings


def verdict(name: str, kind: Kind, *, confirm_seconds: float = 30) -> Verdict:
    return Verdict(
        name=name, kind=kind, what=f"{name} is", what_to_do="see to it", confirm_seconds=confirm_seconds
    )


CLUSTER = verdict("cluster", Kind.FATAL)
REFUSED = verdict("refused", Kind.FATAL, confirm_seconds=600)
NEWER = verdict("newer", Kind.FATAL, confirm_seconds=NEVER)
AWAY = verdict("away", Kind.PASSING)
HIDDEN = verdict("hidden", Kind.UNKNOWN)


def ends_at(found: list[list[Verdict]], *, every: float = 10) -> float | None:
    """Return when the process ends that finds this at its looks, or None."""
    findings = Findings()
    for number, verdicts in enumerate(found):
        if findings.look(verdicts, now=number * every) is not None:
            return number * every
    return None


def test_only_a_fatal_verdict_refuses_the_start() -> None:
    raise_if_fatal([AWAY, HIDDEN])

    with pytest.raises(Unmet, match=r"^cluster is: see to it; refused is: see to it$"):
        raise_if_fatal([AWAY, CLUSTER, REFUSED])


def test_a_fatal_verdict_that_stays_ends_the_process_and_one_that_passes_does_not() -> None:
    assert ends_at([[CLUSTER]] * 100) == 30
    assert ends_at([[REFUSED]] * 100) == 600
    assert ends_at([[NEWER]] * 1000) is None
    assert ends_at([[AWAY]] * 1000) is None


def test_a_look_that_finds_something_else_begins_the_count_anew() -> None:
    failover = [[CLUSTER], [CLUSTER], [CLUSTER], [AWAY], [CLUSTER], [CLUSTER], [CLUSTER], []]

    assert ends_at(failover * 3) is None
    assert ends_at([*failover, *[[CLUSTER]] * 10]) == 110


def test_few_looks_in_a_long_time_are_not_enough() -> None:
    assert ends_at([[CLUSTER], [CLUSTER], [CLUSTER]], every=1000) == 2000


def test_each_is_said_once_when_it_begins_and_once_when_it_ends() -> None:
    findings = Findings()
    with capture_logs() as logs:
        for number, found in enumerate([[HIDDEN, AWAY], [HIDDEN, AWAY], [], [AWAY], [AWAY, HIDDEN]]):
            findings.look(found, now=number)

    assert [(log["event"], log["name"]) for log in logs] == [
        ("precondition_unknown", "hidden"),
        ("precondition_fails", "away"),
        ("precondition_holds_again", "away"),
        ("precondition_fails", "away"),
    ]
