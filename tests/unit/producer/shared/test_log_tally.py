"""A flood of events is told in few lines, and none of them is left out of the count."""

from typing import Any

from producer.shared.log_tally import EVERY_SECONDS, MAX_NAMED, LogTally


class Log:
    """A logger's method that keeps its lines, and a clock."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.now = 100.0
        self.tally = LogTally(monotonic=lambda: self.now)

    def __call__(self, event: str, **details: object) -> None:
        self.lines.append({"event": event, **details})

    def tell(self, number: int, *, kind: str = "away") -> None:
        self.tally.tell(self, "copy_failed", per=kind, event_id=str(number), reason=kind)


def test_the_first_is_told_at_once() -> None:
    log = Log()

    log.tell(1)

    assert log.lines == [{"event": "copy_failed", "events": 1, "reason": "away", "event_ids": ["1"]}]


def test_a_flood_is_one_line_a_second_that_counts_them_all_and_names_the_first() -> None:
    log = Log()
    for number in range(301):
        log.tell(number)
        log.now += EVERY_SECONDS / 100

    assert [line["events"] for line in log.lines] == [1, 100, 100, 100]
    assert log.lines[1]["event_ids"] == [str(number) for number in range(1, 1 + MAX_NAMED)]


def test_each_kind_is_told_for_itself() -> None:
    log = Log()
    for kind in ("away", "timed_out", "away", "timed_out"):
        log.tell(1, kind=kind)

    assert [line["reason"] for line in log.lines] == ["away", "timed_out"]


def test_however_many_kinds_there_are_they_take_no_more_than_some_room() -> None:
    log = Log()
    for number in range(1_000):
        log.tell(1, kind=str(number))

    assert len(log.lines) == 1_000
    assert len(log.tally._kinds) <= 100  # noqa: SLF001 - a limit on memory
