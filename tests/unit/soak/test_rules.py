"""Every series has a rule, and a table that nobody named must not grow."""

import pytest

from tests.soak.errors import NoRule
from tests.soak.rules import flower_tasks, rule_for


def test_a_worker_must_not_grow_by_a_hundred_megabytes_a_day() -> None:
    rule = rule_for("worker.2/private_mb")

    assert not rule.per_event
    assert rule.material(160.0) <= 100 / 24


def test_flower_counts_from_when_it_is_full() -> None:
    assert rule_for("flower/private_mb").warm_up_events > flower_tasks() > 0


@pytest.mark.parametrize(
    "table", ["receipts", "receipts_2026_11", "transactions", "entries", "accept_attempts"]
)
def test_the_rows_of_ledger_and_receipts_are_judged_per_event(table: str) -> None:
    assert rule_for(f"table/{table}/rows").per_event
    assert rule_for(f"table/{table}/bytes_per_row").judged


@pytest.mark.parametrize("table", ["accounts", "quarantine", "open_events"])
def test_any_other_table_must_not_grow(table: str) -> None:
    assert rule_for(f"table/{table}/rows").judged
    assert not rule_for(f"table/{table}/rows").per_event


def test_the_simulators_memory_is_nobodys_concern() -> None:
    assert not rule_for("simulator/private_mb").judged


def test_a_series_without_a_rule_is_an_error() -> None:
    with pytest.raises(NoRule, match="redis/unheard_of has no rule"):
        rule_for("redis/unheard_of")
