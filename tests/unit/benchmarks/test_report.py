"""What the benchmarks make of their samples: medians, ratios, the report, and its Markdown."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.environment import ROOT
from tests.benchmarks import latency, receiver
from tests.benchmarks.measure import Sample, Table, interleave, percentile
from tests.benchmarks.report import (
    MARKS,
    Mark,
    build_report,
    measured_part,
    number,
    ratios_markdown,
    replace_measured,
    table_markdown,
    tables_of,
)

FACTS: dict[str, Any] = {
    "form": "full",
    "rounds": 3,
    "seconds": 600.0,
    "machine": {"cpus": 2, "processor": "x86_64"},
    "versions": {"Python": "3.11.7"},
}


def table_of(rows: Mapping[str, Sequence[Mapping[str, float]]], *, name: str = "speed") -> Table:
    """Return a table; each row has its values by round."""
    samples = [
        Sample(row=row, round=number, values=values)
        for row, rounds in rows.items()
        for number, values in enumerate(rounds)
    ]
    return Table(name=name, title="Speed", unit="make", samples=tuple(samples))


def report_of(*tables: Table, ratios: Mapping[str, float] | None = None) -> dict[str, Any]:
    return build_report(facts=FACTS, tables=tables, ratios=ratios or {}, failures={})


def cells(markdown: str) -> list[list[str]]:
    """Return the rows of Markdown tables, their rulers left out."""
    rows = [line for line in markdown.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_one_slow_round_does_not_move_the_median_and_is_seen_in_the_spread() -> None:
    table = table_of({"ours": [{"rate": 100.0}, {"rate": 5.0}, {"rate": 104.0}]})

    assert table.median("ours", "rate") == 100
    assert table.spread("ours", "rate") == (5, 104)


def test_what_was_not_measured_has_no_median() -> None:
    table = table_of({"ours": [{"rate": 1.0}]})

    with pytest.raises(KeyError, match="ours has no p99"):
        table.median("ours", "p99")
    with pytest.raises(KeyError, match="theirs has no rate"):
        table.spread("theirs", "rate")


def test_rows_are_measured_in_turns_and_each_round_begins_with_another() -> None:
    order: list[str] = []

    def row(name: str) -> Callable[[], Mapping[str, float]]:
        def measured() -> Mapping[str, float]:
            order.append(name)
            return {"rate": float(len(order))}

        return measured

    said: list[str] = []
    rows = {name: row(name) for name in "abc"}
    table = interleave("speed", "Speed", "make", rows, rounds=3, say=said.append)

    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]
    assert table.rows() == ("a", "b", "c")
    assert table.spread("a", "rate") == (1, 8)
    assert len(said) == 9


@given(st.lists(st.integers(0, 1_000), min_size=1), st.sampled_from((0.01, 0.5, 0.99, 1.0)))
def test_a_percentile_is_the_least_value_that_enough_values_do_not_exceed(
    values: list[int], share: float
) -> None:
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_the_receivers_ratios_are_those_of_medians_at_32_connections() -> None:
    rates = {"ours": [2_000.0, 1.0, 2_400.0], "limit": [4_000.0, 4_000.0, 9.0], "textbook": [500.0] * 3}
    rows = {
        f"{name}, 32 connections": [{receiver.RATE: rate} for rate in found] for name, found in rates.items()
    }
    others = {f"{name}, 1 connection": [{receiver.RATE: 7.0}] for name in rates}

    assert receiver.ratios(table_of(rows | others)) == {
        "receiver_vs_textbook": 4.0,
        "receiver_vs_limit": 0.5,
    }


def test_the_hops_have_rows_of_their_own_and_their_sum_is_what_the_p99_is_compared_with() -> None:
    table = table_of(
        {
            latency.HOPS: [{"door": 0.5, "ledger": 1.5}, {"door": 1.0, "ledger": 3.0}],
            latency.row_name(0.5): [{"p99_ms": 9.0}, {"p99_ms": 9.0}],
        }
    )

    table = latency.with_rows_of_hops(table)

    assert table.rows() == ("hop: door", "hop: ledger", latency.HOPS, "50% of capacity")
    assert table.median("hop: ledger", "p50_ms") == 2.25
    assert latency.ratios(table) == {"p99_at_half_vs_hops": 3.0}


def test_a_report_holds_every_sample_and_can_be_read_back() -> None:
    table = table_of({"ours": [{"rate": 3.0}, {"rate": 5.0, "p99_ms": 1.0}], "theirs": [{"rate": 1.0}]})

    read = json.loads(json.dumps(report_of(table)))

    ours = read["tables"]["speed"]["rows"]["ours"]
    assert ours["medians"] == {"rate": 4.0, "p99_ms": 1.0}
    assert ours["spread"] == {"rate": [3.0, 5.0], "p99_ms": [1.0, 1.0]}
    assert ours["samples"][0] == {"round": 0, "values": {"rate": 3.0}}
    assert tables_of(read) == [table]


def test_a_ratio_whose_table_was_not_run_is_null_and_all_ratios_are_there() -> None:
    report = report_of(ratios={"receiver_vs_limit": 0.6})

    assert set(report["ratios"]) == {
        *("receiver_vs_textbook", "receiver_vs_limit", "settlement_vs_ceiling", "settlement_vs_textbook"),
        *("settlement_vs_best_peer", "p99_at_half_vs_hops", "growth_backlog", "growth_ledger"),
        "memory_growth",
        *("wal_kb_per_event", "heap_kb_per_event"),
        *("ill_credit_p99_ms", "ill_refused", "ill_answered", "ill_last_moments", "ill_accepts_per_event"),
        *("ill_token_calls_per_second", "ill_retry_vs_event", "neighbours_p99", "neighbours_refused"),
    }
    assert {name for name, ratio in report["ratios"].items() if ratio is not None} == {"receiver_vs_limit"}
    assert "not run" in ratios_markdown(report)


@pytest.mark.parametrize(
    ("name", "ratio", "verdict"),
    [
        ("receiver_vs_limit", 0.49, "**missed**"),
        ("receiver_vs_limit", 0.5, "bar"),
        ("receiver_vs_limit", 0.7, "goal"),
        ("growth_ledger", 1.05, "goal"),
        ("growth_ledger", 1.15, "bar"),
        ("growth_ledger", 1.16, "**missed**"),
        ("memory_growth", None, "not run"),
    ],
)
def test_a_ratio_is_held_to_its_bar_and_its_goal(name: str, ratio: float | None, verdict: str) -> None:
    assert MARKS[name].verdict(ratio) == verdict


def test_every_goal_is_at_least_as_hard_as_its_bar() -> None:
    def is_harder(mark: Mark) -> bool:
        return mark.goal <= mark.bar if mark.is_ceiling else mark.goal >= mark.bar

    assert all(is_harder(mark) for mark in MARKS.values())


def test_figures_and_costs_stand_in_tables_of_their_own_and_gaps_stay_empty() -> None:
    table = table_of(
        {
            "ours": [{"rate": 1_000.0, "web_cpu_ms": 0.25, "peak_rss_mb": 90.0}, {"rate": 1_200.0}],
            "hops": [{"p50_ms": 1.5}],
        }
    )

    assert cells(table_markdown(table)) == [
        ["per make", "rate", "p50 ms"],
        ["ours", "1,100 (1,000 to 1,200)", ""],
        ["hops", "", "1.50"],
        ["per make", "web cpu ms", "peak rss mb"],
        ["ours", "0.25", "90"],
    ]


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "1,234"), (99.94, "99.9"), (9.876, "9.88"), (0.5, "0.50"), (12.0, "12")]
)
def test_a_figure_has_no_more_digits_than_are_worth_reading(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_quick_run_and_a_failed_table_are_named_as_what_they_are() -> None:
    report = build_report(
        facts={**FACTS, "form": "quick"},
        tables=[table_of({"ours": [{"rate": 1.0}]})],
        ratios={},
        failures={"growth": "the worker died"},
    )

    part = measured_part(report, texts={"speed": "What the rows are."}, plots={"speed": "pictures/speed.png"})

    assert "too short to be believed" in part
    assert "The table *growth* failed: the worker died" in part
    assert "What the rows are." in part
    assert "![Speed](pictures/speed.png)" in part
    assert "too short" not in measured_part(report_of(), texts={}, plots={})


def test_a_documents_measured_part_is_replaced_and_the_rest_left_alone() -> None:
    document = "before\n<!-- measured -->\nold\n<!-- /measured -->\nafter\n"

    once = replace_measured(document, "new")

    assert once == "before\n<!-- measured -->\n\nnew\n\n<!-- /measured -->\nafter\n"
    assert replace_measured(once, "new") == once


def test_a_document_without_a_place_for_the_measured_part_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks <!-- measured -->"):
        replace_measured("nothing here", "new")


def test_the_document_has_a_place_for_what_was_measured() -> None:
    document = (ROOT / "docs/performance.md").read_text("utf-8")

    assert "\n\nthe new part\n\n" in replace_measured(document, "the new part")
