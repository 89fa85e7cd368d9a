"""The rules of adjustments are what `cashback migrate` was told, and are on record."""

import pytest

from tests.support.desk import Desk
from tests.support.in_process import invoke

READ = "SELECT adjust_limit, adjust_daily_limit, approver, may_overdraw FROM correction_rules"
TOLD = {
    "adjust_limit": "5.5",
    "adjust_daily_limit": "20",
    "adjust_approver": "person",
    "negative_balance": "refuse",
}


def test_migrate_writes_the_rules_and_notes_a_change_of_them(desk: Desk) -> None:
    for _ in range(2):
        done = invoke("migrate", person="olga@ops", database_url=desk.database_url, **TOLD)
        assert done.exit_code == 0

    assert desk.owner.execute(READ).fetchall() == [(5.5, 20, "person", False)]
    noted = [each for each in desk.actions("correction_rules") if each[1] == "olga@ops"]
    assert [(action, reason, after) for action, _, reason, _, after in noted] == [
        (
            "accounts.rules",
            None,
            {"adjust_limit": 5.5, "adjust_daily_limit": 20, "approver": "person", "may_overdraw": False},
        )
    ]
    asked = desk.run("adjust", "alice", "5.51", "--reason", "x", "--key", "told", "--json")
    assert asked.document("accounts-adjust")["outcome"] == "asked"


def test_what_it_was_not_told_has_its_default(desk: Desk) -> None:
    desk.rules("7", daily="8", approver="person", overdraft=False)

    assert invoke("migrate", database_url=desk.database_url).exit_code == 0

    assert desk.owner.execute(READ).fetchall() == [(100, 1000, "database_user", True)]
    nothing = invoke("migrate", "--json", database_url=desk.database_url).document("migrate")
    assert (nothing["applied"], nothing["functions"]) == ([], [])


@pytest.mark.parametrize(("name", "value"), [("adjust_limit", "-1"), ("adjust_approver", "nobody")])
def test_a_wrong_rule_is_a_wrong_setting(desk: Desk, name: str, value: str) -> None:
    assert invoke("migrate", database_url=desk.database_url, **{name: value}).exit_code == 2
