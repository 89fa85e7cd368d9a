"""Above the limits an adjustment takes two: who asked for it cannot approve it."""

import psycopg
import pytest

from tests.support.desk import Desk, Login


def ask(desk: Desk, key: str, user_id: str = "alice", amount: str = "500") -> None:
    done = desk.run("adjust", user_id, amount, "--reason", f"why {key}", "--key", key, "--json")
    assert done.document("accounts-adjust")["outcome"] == "asked"


def test_another_login_approves_and_it_is_posted_once(desk: Desk, login: Login) -> None:
    ask(desk, "large")
    before, second = desk.balance("alice"), login()

    approved = desk.run(
        "approve", "large", "--reason", "checked", "--json", person="ben@desk", url=second
    ).document("accounts-approve")
    counts = desk.counts()
    again = desk.run("approve", "large", "--reason", "x", "--json", url=second).document("accounts-approve")

    assert (approved["outcome"], approved["state"], approved["amount"]) == ("posted", "posted", "500.00")
    assert approved["balance_minor"] == desk.balance("alice") == before + 50_000
    assert again == approved | {"outcome": "stands"}
    assert desk.counts() == counts
    assert desk.actions("alice")[-1] == (
        "accounts.adjust.approve",
        "ben@desk",
        "checked",
        {"balance_minor": before},
        {
            "key": "large",
            "currency": "EUR",
            "amount_minor": 50_000,
            "transaction_id": approved["transaction_id"],
            "balance_minor": before + 50_000,
        },
    )


@pytest.mark.parametrize("person", ["anna@desk", "ben@desk"])
def test_the_same_login_does_not_whatever_it_says_of_itself(desk: Desk, person: str) -> None:
    key = f"same login {person}"
    ask(desk, key)
    before = desk.counts()

    refused = desk.run("approve", key, "--reason", "x", person=person)

    assert refused.exit_code == 1
    assert "another one has to approve it, so give each person a login" in refused.stderr
    assert desk.counts() == before


def test_where_a_said_person_is_enough_it_is_another_one(desk: Desk) -> None:
    ask(desk, "said")
    desk.rules(approver="person")

    same = desk.run("approve", "said", "--reason", "x")
    other = desk.run("approve", "said", "--reason", "x", person="ben@desk")

    assert (same.exit_code, "anna@desk asked for" in same.stderr) == (1, True)
    assert other.exit_code == 0


def test_what_is_approved_is_looked_at_again(desk: Desk, login: Login) -> None:
    ask(desk, "would overdraw", "bob", "-500")
    desk.rules(overdraft=False)
    before = desk.counts()

    refused = desk.run("approve", "would overdraw", "--reason", "x", url=login())

    assert (refused.exit_code, "may not go below zero" in refused.stderr) == (1, True)
    assert desk.counts() == before


def test_what_is_rejected_stays_so_and_its_key_is_used_up(desk: Desk, login: Login) -> None:
    ask(desk, "let go")

    rejected = desk.run("reject", "let go", "--reason", "typo", "--json").document("accounts-reject")
    again = desk.run("reject", "let go", "--reason", "typo", "--json").document("accounts-reject")
    approve = desk.run("approve", "let go", "--reason", "x", url=login())
    anew = desk.run("adjust", "alice", "500", "--reason", "x", "--key", "let go")

    assert (rejected["outcome"], again["outcome"]) == ("rejected", "stands")
    assert (approve.exit_code, "was rejected before" in approve.stderr) == (1, True)
    assert (anew.exit_code, "its key is used up" in anew.stderr) == (1, True)
    assert desk.actions("alice")[-1][:3] == ("accounts.adjust.reject", "anna@desk", "typo")


def test_what_was_posted_is_not_rejected(desk: Desk) -> None:
    desk.run("adjust", "alice", "1", "--reason", "x", "--key", "posted")

    rejected = desk.run("reject", "posted", "--reason", "x")

    assert (rejected.exit_code, "was posted before" in rejected.stderr) == (1, True)


def test_nobody_decides_what_was_not_asked_for(desk: Desk) -> None:
    done = desk.run("approve", "unknown", "--reason", "x")

    assert (done.exit_code, done.stderr) == (
        1,
        "Error: no adjustment has the key 'unknown': `cashback accounts adjustments` lists them\n",
    )


def test_those_that_wait_are_listed_newest_first(desk: Desk, login: Login) -> None:
    for key in ("listed 1", "listed 2", "listed 3"):
        ask(desk, key, "cem")
    desk.run("approve", "listed 2", "--reason", "x", person="ben@desk", url=login())

    def listed(*options: str) -> list[tuple[str, ...]]:
        document = desk.run("adjustments", "--user", "cem", "--json", *options).document(
            "accounts-adjustments"
        )
        return [(each["key"], each["state"]) for each in document["adjustments"]]

    assert listed() == [("listed 3", "open"), ("listed 2", "posted"), ("listed 1", "open")]
    assert listed("--open") == [("listed 3", "open"), ("listed 1", "open")]
    assert listed("--limit", "1") == [("listed 3", "open")]
    for_people = desk.run("adjustments", "--user", "cem").stdout
    assert "listed 2  posted  +500.00 EUR  cem\n" in for_people
    assert "by anna@desk (cashback_operator): why listed 2\n" in for_people
    assert for_people.endswith(
        "One person may post 100 at a time and 1,000 a day, in each currency, also below zero; "
        "beyond it another database user has to approve.\n"
    )


def test_a_change_of_the_rules_is_on_record(desk: Desk) -> None:
    desk.rules("100", daily="77")

    assert desk.actions("correction_rules")[-1][0] == "accounts.rules"
    [(before, after)] = [each[3:] for each in desk.actions("correction_rules")[-1:]]
    assert (before["adjust_daily_limit"], after["adjust_daily_limit"]) == (1000, 77)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE adjustments SET amount_minor = 1 WHERE adjustment_key = 'guarded'", "never changes"),
        ("UPDATE adjustments SET asked_person = 'eve' WHERE adjustment_key = 'guarded'", "never changes"),
        (
            (
                "UPDATE adjustments SET state = 'posted', decided_at = now(), transaction_id = "
                "(SELECT min(transaction_id) FROM transactions) WHERE adjustment_key = 'guarded'"
            ),
            "does not stand behind",
        ),
        ("UPDATE adjustments SET state = 'open', decided_at = NULL WHERE state = 'rejected'", "is decided"),
        ("DELETE FROM adjustments", "not allowed"),
        (
            (
                "INSERT INTO adjustments (adjustment_key, account_id, amount_minor, reason, asked_person) "
                "SELECT 'house', account_id, 1, 'x', 'x' FROM accounts WHERE kind = 'tax' LIMIT 1"
            ),
            "no user's account",
        ),
    ],
)
def test_not_even_the_owner_rewrites_an_adjustment(desk: Desk, statement: str, says: str) -> None:
    for key in ("guarded", "guarded no more"):
        desk.run("adjust", "alice", "500", "--reason", "x", "--key", key)
    desk.run("reject", "guarded no more", "--reason", "x")

    with pytest.raises(psycopg.IntegrityError, match=says), desk.owner.transaction():
        desk.owner.execute(statement.encode())


def test_the_rules_are_seen_beside_the_adjustments(desk: Desk) -> None:
    desk.rules("12.5", daily="40", approver="person", overdraft=False)

    document = desk.run("adjustments", "--json").document("accounts-adjustments")

    assert document["rules"] == {
        "adjust_limit": "12.5",
        "adjust_daily_limit": "40",
        "approver": "person",
        "may_overdraw": False,
    }
