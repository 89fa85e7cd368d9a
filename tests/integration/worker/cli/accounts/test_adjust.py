"""`cashback accounts adjust`: within the limits it posts, once by its key; above them it asks."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.support.books import SOUND, audit
from tests.support.desk import Desk, Login


def adjust(
    desk: Desk, user_id: str, amount: str, key: str, *options: str, url: str | None = None
) -> dict[str, object]:
    done = desk.run(
        "adjust", user_id, amount, "--reason", f"why {key}", "--key", key, "--json", *options, url=url
    )
    document: dict[str, object] = done.document("accounts-adjust")
    return document


@pytest.mark.parametrize(("amount", "minor"), [("5.00", 500), ("-5.00", -500), ("+0.01", 1), ("-1", -100)])
def test_an_adjustment_is_posted_against_the_house_and_noted(desk: Desk, amount: str, minor: int) -> None:
    key, before = f"posted {amount}", desk.balance("alice")

    document = adjust(desk, "alice", amount, key)

    assert (document["outcome"], document["amount_minor"]) == ("posted", minor)
    assert document["balance_minor"] == desk.balance("alice") == before + minor
    assert desk.owner.execute(
        "SELECT kind, accounts.currency, amount_minor FROM entries JOIN accounts USING (account_id) "
        "WHERE transaction_id = %s ORDER BY kind",
        (document["transaction_id"],),
    ).fetchall() == [("adjustment", "EUR", -minor), ("user", "EUR", minor)]
    assert audit(desk.owner) == SOUND
    assert desk.actions("alice")[-1] == (
        "accounts.adjust",
        "anna@desk",
        f"why {key}",
        {"balance_minor": before},
        {
            "key": key,
            "currency": "EUR",
            "amount_minor": minor,
            "transaction_id": document["transaction_id"],
            "balance_minor": before + minor,
        },
    )


def test_the_same_key_again_changes_nothing_and_says_so(desk: Desk) -> None:
    first = adjust(desk, "alice", "1", "twice")
    before = desk.counts()

    again = adjust(desk, "alice", "1.00", "twice")
    told = desk.run("adjust", "alice", "1", "--reason", "other", "--key", "twice")

    assert again == first | {"outcome": "stands"}
    assert (told.exit_code, told.stdout[:47]) == (0, "it stands already, nothing was changed: +1.00 E")
    assert desk.counts() == before


def test_the_key_of_another_adjustment_is_refused(desk: Desk) -> None:
    adjust(desk, "alice", "1", "taken")
    before = desk.counts()

    for user_id, amount in (("alice", "2"), ("alice", "-1"), ("bob", "1"), ("yuki", "100")):
        done = desk.run("adjust", user_id, amount, "--reason", "x", "--key", "taken")
        assert (done.exit_code, "the key 'taken' is that of another adjustment" in done.stderr) == (1, True)
    assert desk.counts() == before


def test_above_the_limit_it_is_put_on_record_and_not_posted(desk: Desk) -> None:
    before = desk.balance("bob")

    document = adjust(desk, "bob", "-100.01", "large")
    told = desk.run("adjust", "bob", "200", "--reason", "x", "--key", "two words").stdout
    again = adjust(desk, "bob", "-100.01", "large")

    assert (document["outcome"], document["state"], document["transaction_id"]) == ("asked", "open", None)
    assert told.endswith("a second person posts it: cashback accounts approve 'two words' --reason …\n")
    assert (again["outcome"], again["state"]) == ("stands", "open")
    assert document["balance_minor"] == desk.balance("bob") == before
    (action, _, reason, stood, asked) = desk.actions("bob")[-2]
    assert (action, reason, stood) == ("accounts.adjust.ask", "why large", {"balance_minor": before})
    assert asked == {
        "key": "large",
        "currency": "EUR",
        "amount_minor": -10_001,
        "transaction_id": None,
        "balance_minor": before,
    }


def test_a_day_has_a_limit_for_each_login_and_currency(desk: Desk, login: Login) -> None:
    desk.rules("100", daily="150")
    person = login()

    done = [adjust(desk, "cem", amount, f"day {amount}", url=person) for amount in ("100", "-50", "0.01")]
    other_currency = adjust(desk, "yuki", "100", "day of yen", url=person)
    other_person = adjust(desk, "cem", "0.01", "day of another", url=login())

    assert [each["outcome"] for each in done] == ["posted", "posted", "asked"]
    assert (other_currency["outcome"], other_person["outcome"]) == ("posted", "posted")


def test_the_limit_of_a_day_holds_for_those_who_come_at_once(desk: Desk, login: Login) -> None:
    desk.rules("100", daily="150")
    person = login()
    call = "SELECT outcome FROM adjust_account(%s, %s, 100, 'anna', 'why')"

    with (
        psycopg.connect(person) as first,
        psycopg.connect(person) as second,
        ThreadPoolExecutor(1) as threads,
    ):
        # given one that is not committed yet, when another comes, for another user
        posted = first.execute(call, ("at once 1", "alice")).fetchall()
        coming = threads.submit(lambda: second.execute(call, ("at once 2", "cem")).fetchall())
        while not coming.done() and not waits(desk, second.info.backend_pid):
            pass
        first.commit()

        # then it has waited, and counts the first
        assert (posted, coming.result(timeout=120)) == ([("posted",)], [("asked",)])


def test_who_looks_at_older_books_does_not_pass_the_limit_of_a_day(desk: Desk, login: Login) -> None:
    desk.rules("100", daily="150")
    person = login()
    call = "SELECT outcome FROM adjust_account(%s, %s, 100, 'anna', 'why')"

    with psycopg.connect(person) as first, psycopg.connect(person) as second:
        second.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        second.execute("SELECT count(*) FROM adjustments")
        first.execute(call, ("older 1", "alice"))
        first.commit()

        with pytest.raises(psycopg.errors.SerializationFailure):
            second.execute(call, ("older 2", "cem"))


def waits(desk: Desk, backend_pid: int) -> bool:
    [(is_waiting,)] = desk.owner.execute(
        "SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = %s",
        (backend_pid,),
    ).fetchall()
    return bool(is_waiting)


def test_the_overdraft_rule_is_that_of_cancels(desk: Desk) -> None:
    amount = f"-{desk.balance('bob') // 100 + 1}"
    desk.rules("1000", daily="100000", overdraft=False)
    before = desk.counts()
    refused = desk.run("adjust", "bob", amount, "--reason", "x", "--key", "overdraft")
    assert (refused.exit_code, "may not go below zero" in refused.stderr) == (1, True)
    assert desk.counts() == before

    desk.rules("1000", daily="100000")
    assert adjust(desk, "bob", amount, "overdraft")["outcome"] == "posted"
    assert desk.balance("bob") < 0

    # Up is always allowed, also where it does not reach zero.
    desk.rules("1000", daily="100000", overdraft=False)
    assert adjust(desk, "bob", "0.01", "a little")["outcome"] == "posted"
    assert desk.run("adjust", "bob", "-0.01", "--reason", "x", "--key", "further").exit_code == 1
    adjust(desk, "bob", "100", "back")


def test_an_amount_has_the_digits_of_its_currency(desk: Desk) -> None:
    before = desk.counts()

    refused = desk.run("adjust", "yuki", "1.5", "--reason", "x", "--key", "yen")
    fine = desk.run("adjust", "alice", "1.001", "--reason", "x", "--key", "cents")

    assert refused.stderr == "Error: 1.5 is too large, or has more digits than JPY, which has 0\n"
    assert (refused.exit_code, fine.exit_code) == (1, 1)
    assert desk.counts() == before
    assert adjust(desk, "yuki", "-1", "one yen")["amount"] == "-1"


@pytest.mark.parametrize("amount", ["0", "-0.00", "1e2", "1,5", "NaN", "five", "1.00001", ".5", "--", ""])
def test_what_is_no_amount_is_wrong_use(desk: Desk, amount: str) -> None:
    assert desk.run("adjust", "alice", amount, "--reason", "x", "--key", "k").exit_code == 2


def test_an_unknown_user_ends_with_1(desk: Desk) -> None:
    before = desk.counts()

    assert desk.run("adjust", "nobody", "1", "--reason", "x", "--key", "k").exit_code == 1
    assert desk.counts() == before


def test_show_names_key_and_reason(desk: Desk) -> None:
    adjust(desk, "alice", "3", "shown")

    document = desk.run("show", "alice", "--limit", "1", "--json").document("accounts-show")
    shown = desk.run("show", "alice", "--limit", "1").stdout

    (entry,) = document["entries"]
    assert (entry["kind"], entry["cashback_id"]) == ("adjustment", None)
    assert (entry["adjustment_key"], entry["adjustment_reason"]) == ("shown", "why shown")
    assert "shown: why shown" in shown


def test_without_its_rules_nothing_is_adjusted_or_approved(desk: Desk) -> None:
    before = desk.counts()
    with desk.owner.transaction(force_rollback=True):
        desk.owner.execute("ALTER TABLE correction_rules DISABLE TRIGGER correction_rules_stay")
        desk.owner.execute("DELETE FROM correction_rules")
        for call in (
            "SELECT adjust_account('no rules', 'alice', 1000000, 'anna', 'why')",
            "SELECT decide_adjustment('no rules', true, 'anna', 'why')",
        ):
            missing = pytest.raises(psycopg.DatabaseError, match="the rules of corrections are missing")
            with missing, desk.owner.transaction():
                desk.owner.execute(call.encode())
        # `cashback migrate` puts them back.
        desk.owner.execute("SELECT set_correction_rules(100, 1000, 'database_user', true, 'migrate')")
        assert desk.owner.execute("SELECT count(*) FROM correction_rules").fetchall() == [(1,)]
    assert desk.counts() == before


def test_the_rules_cannot_be_taken_away(desk: Desk) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation), desk.owner.transaction():
        desk.owner.execute("DELETE FROM correction_rules")
