"""What follows from what processes say of themselves."""

from dataclasses import replace
from typing import Any

from producer.shared.redis.processes import SILENT_SECONDS, version
from worker.doctor.processes import Seen, of_records

NOW = 1_000_000.0
WORKER = Seen(
    kind="worker",
    host="one",
    pid=1,
    version=version(),
    started_at=NOW - 3_600,
    seen_at=NOW - 10,
    settings="s",
    agreed="a",
    keys_age_seconds=30.0,
    keys_max_age_seconds=86_400.0,
)
RECEIVER = replace(WORKER, kind="receiver", pid=2, settings="r")


def found(*seen: Seen, leases: frozenset[str] = frozenset({"one:1", "one:3", "two:1"})) -> dict[str, Any]:
    return {each.name: each.level.value for each in of_records(seen, leases=leases, now=NOW)}


def test_processes_of_one_version_and_one_mind_are_well() -> None:
    assert found(WORKER, RECEIVER) == {"processes": "good"}


def test_versions_that_differ_are_told() -> None:
    assert found(WORKER, replace(RECEIVER, version="0.0.1"))["versions_differ"] == "advice"
    assert found(replace(WORKER, version="0.0.1"))["versions_differ"] == "advice"


def test_settings_on_which_all_must_agree_are_a_fault_where_they_differ() -> None:
    assert found(WORKER, replace(RECEIVER, agreed="b"))["settings_differ"] == "fault"
    assert found(WORKER, replace(WORKER, pid=3, settings="t"))["settings_differ"] == "advice"


def test_who_is_silent_or_has_no_lease_is_dead() -> None:
    assert found(WORKER, leases=frozenset())["process_dead"] == "fault"
    assert found(replace(RECEIVER, seen_at=NOW - SILENT_SECONDS - 1))["process_dead"] == "fault"
    assert "process_dead" not in found(replace(WORKER, started_at=NOW - 1), leases=frozenset())


def test_who_was_replaced_on_its_host_is_no_fault() -> None:
    dead = replace(WORKER, seen_at=NOW - 500)
    after = replace(WORKER, pid=3, started_at=NOW - 400)

    assert found(dead, after)["process_replaced"] == "advice"
    assert found(dead, replace(after, host="two", pid=1))["process_dead"] == "fault"


def test_keys_that_have_expired_in_a_process_are_named() -> None:
    assert found(replace(WORKER, keys_age_seconds=86_395.0))["process_keys"] == "fault"
    assert found(replace(WORKER, keys_age_seconds=None))["process_keys"] == "fault"
    assert "process_keys" not in found(replace(WORKER, keys_age_seconds=None, started_at=NOW - 5))
