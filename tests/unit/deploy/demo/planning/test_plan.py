"""The demo's plan: 300 makes of every kind, and its own arithmetic of what they come to."""

from collections import Counter
from itertools import pairwise

import pytest
from pydantic import TypeAdapter

from deploy.local.demo.planning.plan import ALREADY_EXISTS, CANCELS, MAKES, Stage, minor
from deploy.local.demo.planning.planner import draw_plan
from deploy.local.simulator.actions import parse_action
from deploy.local.simulator.makes import MakeOrder

SEEDS = [*range(20), 2**40]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed_gives_exactly_300_makes_that_the_simulator_takes(seed: int) -> None:
    plan = draw_plan(seed)

    orders = TypeAdapter(list[MakeOrder]).validate_python([dict(make.order) for make in plan.makes])

    assert len(orders) == MAKES == 300
    assert all(parse_action(action) for order in orders for action in order.script or ())
    assert sorted(make.number for make in plan.makes) == list(range(1, MAKES + 1))


def test_the_same_seed_gives_the_same_plan_and_another_seed_another() -> None:
    assert draw_plan(7) == draw_plan(7)
    assert draw_plan(7).makes != draw_plan(8).makes


@pytest.mark.parametrize("seed", SEEDS)
def test_makes_are_sent_in_order_and_never_before_what_they_follow(seed: int) -> None:
    plan = draw_plan(seed)

    assert all(earlier.place <= later.place for earlier, later in pairwise(plan.makes))
    followers = [make for make in plan.makes if make.after is not None]
    assert followers
    for make in followers:
        assert make.after is not None
        assert plan.make(make.after).place <= make.place
        assert make.until >= Stage.SENT


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_make_is_in_the_plan(seed: int) -> None:
    plan = draw_plan(seed)

    kinds = Counter(make.kind for make in plan.makes)
    events = Counter((make.expected.state, make.expected.code) for make in plan.makes if not make.same_token)
    assert kinds["duplicate, same token"] == kinds["duplicate, new token"] == 20
    assert sum(make.order["transaction_type"] in CANCELS for make in plan.makes if not make.same_token) >= 35
    assert {code for _, code in events} == {
        None, 200, 102145, 102823, 103753, 103779, 103801, 103804,
    }  # fmt: skip
    assert {state for state, _ in events} == {None, "answered", "refused", "expired"}
    assert {make.expected.http_status for make in plan.makes} == {200, 400, 401, 413}
    shapes = {make.order["body_shape"] for make in plan.makes}
    assert shapes == {"json_string", "raw", "object"}
    assert {make.order["amount_as"] for make in plan.makes} == {"string", "number"}
    assert {account.exponent for account in plan.accounts} == {0, 2, 3}


def test_events_that_take_all_their_time_are_sent_first() -> None:
    plan = draw_plan(1)

    slowest = [make for make in plan.makes if make.expected.state == "expired"]

    assert len(slowest) == 5
    assert all(make.place == 0 for make in slowest)


def test_a_resubmission_waits_for_the_second_in_which_its_token_becomes_another() -> None:
    plan = draw_plan(1)

    resubmitted = [make for make in plan.makes if make.kind == "duplicate, new token"]

    assert all(make.apart_seconds > 1 and make.expected.code == ALREADY_EXISTS for make in resubmitted)


def test_expected_balances_are_the_opening_ones_and_each_effect_once() -> None:
    plan = draw_plan(3)

    balances = plan.expected_balances()

    # Computed another way: from the orders that are to be credited, per user.
    for account in plan.accounts:
        expected = minor(account.balance, account.exponent)
        for make in plan.makes:
            if make.user_id == account.user_id and make.expected.code == 200 and not make.same_token:
                amount = minor(str(make.order["amount"]), account.exponent)
                expected += amount if make.order["transaction_type"] == 1 else -amount
        assert balances[account.user_id] == expected
    assert set(balances) == {account.user_id for account in plan.accounts}
    assert any(make.effect_minor < 0 for make in plan.makes)


def test_blocked_users_keep_their_opening_balance() -> None:
    plan = draw_plan(4)

    blocked = [account for account in plan.accounts if account.status == "blocked"]

    assert blocked
    assert all(plan.expected_balances()[account.user_id] == account.opening_minor for account in blocked)


def test_money_that_betcore_never_acknowledged_is_expected_to_be_marked_unconfirmed() -> None:
    plan = draw_plan(1)

    unconfirmed = [make for make in plan.makes if make.expected.unconfirmed]

    assert sorted(make.expected.state or "" for make in unconfirmed) == ["expired"] * 2 + ["refused"] * 2


def test_the_accounts_file_has_the_documented_header_and_one_line_for_each_account() -> None:
    plan = draw_plan(1)

    header, *lines = plan.accounts_csv().splitlines()

    assert header == "user_id,currency,status,balance"
    assert len(lines) == len(plan.accounts)
    assert all(line.count(",") == 3 for line in lines)


@pytest.mark.parametrize(
    ("amount", "exponent", "expected"),
    [("10.50", 2, 1050), ("10.5", 2, 1050), ("1.500", 3, 1500), ("7.0", 0, 7), ("0", 2, 0)],
)
def test_amounts_become_whole_minor_units(amount: str, exponent: int, expected: int) -> None:
    assert minor(amount, exponent) == expected


def test_an_amount_with_more_digits_than_its_currency_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 2 digits"):
        minor("1.005", 2)
