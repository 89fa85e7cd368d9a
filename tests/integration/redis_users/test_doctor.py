"""`cashback doctor` asks what the users of the processes may do, and names who lacks a right."""

import json
from typing import Any

from click.testing import CliRunner

from tests.support.redis_users import Server
from worker.cli import cashback


def findings_of(url: str) -> dict[str, dict[str, Any]]:
    result = CliRunner().invoke(
        cashback,
        ["doctor", "--only", "redis", "--timeout", "25", "--json"],
        env={"CASHBACK_REDIS_URL": url},
    )
    return {each["name"]: each for each in json.loads(result.stdout)["findings"]}


def test_users_who_have_their_rights_are_well_and_one_without_is_named(server: Server) -> None:
    whole = findings_of(server.url("operator"))
    ask: Any = server.operator.execute_command
    ask("ACL", "SETUSER", "cashback-receiver", "clearselectors")
    try:
        found = findings_of(server.url("operator"))
    finally:
        server.valkey.restart()

    assert whole["redis_service_users"]["verdict"] == "good"
    assert "cashback-receiver, cashback-worker" in whole["redis_service_users"]["what"]
    assert found["redis_service_users"]["verdict"] == "fault"
    assert "cashback-receiver" in found["redis_service_users"]["what"]


def test_the_workers_own_user_can_look_and_is_refused_nothing_that_it_needs(server: Server) -> None:
    found = findings_of(server.url("worker"))

    assert {each["verdict"] for each in found.values()} <= {"good", "unchecked"}
