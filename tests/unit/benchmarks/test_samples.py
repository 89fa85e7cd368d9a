"""What the settlement, growth and memory tables work out by themselves."""

import itertools
from collections.abc import Mapping

import pytest

from cashback_client.contract import event_id_of
from tests.benchmarks import growth, memory, settlement
from tests.benchmarks.measure import Sample, Table
from tests.benchmarks.peers.contender import FULL, Form, Progress, events_for
from tests.benchmarks.peers.ours import first_accepts
from tests.benchmarks.peers.queues import grouped, unsigned

_NAMES = {
    (key, processes): settlement.row_name(key, processes)
    for key in ("ours", "ceiling", "textbook", "dramatiq", "taskiq", "arq")
    for processes in (1, 2)
}


def _table(rows: Mapping[str, Mapping[str, tuple[float, ...]]]) -> Table:
    samples = tuple(
        Sample(row=row, round=number, values=dict(zip(values, numbers, strict=True)))
        for row, values in rows.items()
        for number, numbers in enumerate(zip(*values.values(), strict=True))
    )
    return Table(name="settlement", title="", unit="event", samples=samples)


def _rates(**rates: tuple[float, float]) -> Table:
    return _table(
        {
            _NAMES[key, processes]: {settlement.RATE: (rate,)}
            for key, both in rates.items()
            for processes, rate in zip((1, 2), both, strict=True)
        }
    )


def test_each_ratio_is_the_one_of_one_or_two_processes_that_is_less_in_our_favour() -> None:
    table = _rates(
        ours=(300, 500),
        ceiling=(600, 800),
        textbook=(50, 100),
        dramatiq=(100, 120),
        taskiq=(90, 250),
        arq=(1, 1),
    )

    ratios = settlement.ratios(table, _NAMES)

    assert ratios == {
        "settlement_vs_ceiling": 300 / 600,
        "settlement_vs_textbook": 500 / 100,
        "settlement_vs_best_peer": 500 / 250,
    }


def test_the_best_peer_is_chosen_anew_for_each_number_of_processes() -> None:
    table = _rates(
        ours=(300, 300), ceiling=(1, 1), textbook=(1, 1), dramatiq=(100, 10), taskiq=(10, 150), arq=(10, 10)
    )

    assert settlement.ratios(table, _NAMES)["settlement_vs_best_peer"] == 300 / 150


def test_ratios_are_of_medians_over_the_rounds() -> None:
    rows = {name: {settlement.RATE: (10.0, 20.0, 90.0)} for name in _NAMES.values()}
    rows[_NAMES["ours", 1]] = {settlement.RATE: (1.0, 30.0, 31.0)}

    assert settlement.ratios(_table(rows), _NAMES)["settlement_vs_ceiling"] == min(30 / 20, 20 / 20)


@pytest.mark.parametrize(
    ("cpu_ms", "elapsed_ms", "expected"), [(3.0, 10.0, 1.5), (2.0, 12.0, 1.2), (1.0, 5.0, 0.5)]
)
def test_growth_is_that_of_cpu_or_of_time_whichever_grew_more(
    cpu_ms: float, elapsed_ms: float, expected: float
) -> None:
    table = _table(
        {
            growth.EMPTY: {growth.CPU: (2.0,), growth.ELAPSED: (10.0,)},
            growth.waiting_row(100_000): {growth.CPU: (cpu_ms,), growth.ELAPSED: (elapsed_ms,)},
        }
    )

    assert growth.growth(table, "100,000 waiting") == pytest.approx(expected)


def test_a_title_says_which_ledger_was_not_measured() -> None:
    largest = growth.ledger_row(10_000_000).removeprefix("ledger of ")
    assert growth.title_of(10_000_000) == "Growth: the cost of one event"
    assert growth.title_of(100_000) == f"Growth: the cost of one event ({largest} transactions were not run)"


@pytest.mark.parametrize(("per_second", "events"), [(2.0, 50), (100.0, 500), (1e9, 3_000)])
def test_a_sample_has_the_events_of_its_time_within_its_limits(per_second: float, events: int) -> None:
    form = Form(sample_seconds=5.0, warm_up_events=10, most_events=3_000)

    assert events_for(per_second, form) == events


def test_a_full_sample_lasts_five_seconds_also_where_the_warm_up_was_a_third_too_slow() -> None:
    assert FULL.sample_seconds / 1.33 >= 5.0


def test_the_rate_counts_what_came_after_the_first() -> None:
    assert Progress(done=11, first_at=100.0, last_at=102.0).per_second == pytest.approx(5.0)


def test_only_the_first_success_of_each_cashback_counts() -> None:
    earlier, other = (9, 1_000_000_000, 200), (11, 2_000_000_000, 103804)
    arrivals = [earlier, (10, 2_000_000_000, 200), other, (11, 4_000_000_000, 200), (10, 9_000_000_000, 200)]

    progress = first_accepts(arrivals, range(10, 13))

    assert progress == Progress(done=2, first_at=2.0, last_at=4.0, repeated=3)


def test_a_million_events_hold_twenty_thousand_whole_ones_beside_the_first_batch() -> None:
    assert memory.whole_events(memory.BATCH) == memory.BATCH
    assert memory.whole_events(1_000_000) == memory.BATCH + (1_000_000 - memory.BATCH) // memory.WHOLE_OF


@pytest.mark.parametrize("span", [memory.FULL, memory.QUICK])
def test_memory_is_looked_at_between_two_batches(span: memory.Span) -> None:
    assert span.early_events % memory.BATCH == 0
    assert span.late_events % memory.BATCH == 0


def test_tokens_behind_the_others_are_events_of_their_own_of_the_same_size() -> None:
    token = f"head.payload.{'s' * 342}"

    others = list(itertools.islice(unsigned(token), 1_000))

    assert len({event_id_of(other) for other in [token, *others]}) == 1_001
    assert {len(other) for other in others} == {len(token)}
    assert all(other.startswith("head.payload.") for other in others)


def test_grouping_keeps_all_and_their_order() -> None:
    values = [str(number) for number in range(7)]

    groups = list(grouped(values, 3))

    assert [len(group) for group in groups] == [3, 3, 1]
    assert list(itertools.chain.from_iterable(groups)) == values
