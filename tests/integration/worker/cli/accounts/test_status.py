"""`cashback accounts block` and `unblock`."""

import pytest

from tests.support.books import ledger_on, new_event, payout
from tests.support.desk import Desk


def test_a_blocked_user_gets_nothing_until_he_is_unblocked(desk: Desk) -> None:
    blocked = desk.run("block", "alice", "--reason", "ticket 7", "--json").document("accounts-block")
    with ledger_on(desk.database_url) as ledger:
        refused = ledger.settle(new_event(1), payout(1, "alice", "2"))
        unblocked = desk.run("unblock", "alice", "--reason", "cleared", "--json").document("accounts-unblock")
        paid = ledger.settle(new_event(2), payout(2, "alice", "2"))

    assert blocked == {"user_id": "alice", "status": "blocked", "changed": True}
    assert unblocked == {"user_id": "alice", "status": "active", "changed": True}
    assert (refused.code, paid.code) == (103779, 200)
    active, no_more = {"status": "active"}, {"status": "blocked"}
    assert desk.actions("alice") == [
        ("accounts.block", "anna@desk", "ticket 7", active, no_more),
        ("accounts.unblock", "anna@desk", "cleared", no_more, active),
    ]


def test_what_stands_already_is_left_and_not_noted(desk: Desk) -> None:
    desk.run("block", "bob", "--reason", "ticket 8")
    before = desk.counts()

    again = desk.run("block", "bob", "--reason", "ticket 9", "--json").document("accounts-block")

    assert again["changed"] is False
    assert desk.counts() == before
    assert len(desk.actions("bob")) == 1


def test_an_unknown_user_ends_with_1_and_nothing_is_noted(desk: Desk) -> None:
    before = desk.counts()

    done = desk.run("block", "nobody", "--reason", "ticket 7")

    assert (done.exit_code, done.stderr) == (1, "Error: no account of user 'nobody' is on record\n")
    assert desk.counts() == before


@pytest.mark.parametrize("reason", [(), ("--reason", " "), ("--reason", "x" * 501), ("--reason", "a\nb")])
def test_it_has_to_be_said_why(desk: Desk, reason: tuple[str, ...]) -> None:
    assert desk.run("block", "alice", *reason).exit_code == 2


def test_it_is_said_to_people(desk: Desk) -> None:
    assert desk.run("block", "cem", "--reason", "x").stdout == "the account of 'cem' is blocked\n"
    assert desk.run("block", "cem", "--reason", "x").stdout == "the account of 'cem' is blocked already\n"
