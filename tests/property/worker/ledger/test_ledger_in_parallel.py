"""Many threads settle the same events at once, several times each: one effect, one answer, sound books."""

import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from tests.support.books import (
    CUTOFF_SECONDS,
    SOUND,
    add_user,
    audit,
    balances,
    cancel,
    new_event,
    payout,
    policy,
    pool_of,
)
from tests.support.ledger_model import Model, User
from worker.domain.settlement import Instruction, Settlement
from worker.ledger.database import DeadlineConnection
from worker.ledger.group_commit import GroupCommitLedger
from worker.ledger.ledger import Ledger, VerifiedEvent

THREADS = 8
TIMES_EACH = 3
USERS = {"ann": ("EUR", 2), "bob": ("JPY", 0)}
START_MINOR = 1_000

History = list[tuple[VerifiedEvent, Instruction]]


def history_of(rng: random.Random, *, cashbacks: int) -> History:
    """Make a history full of quarrels: several payouts, users, amounts and cancels for each CashbackId."""
    history: History = []
    for cashback_id in range(1, cashbacks + 1):
        for _ in range(rng.randint(3, 7)):
            user_id = rng.choice(["ann", "ann", "ann", "bob", "nobody"])
            amount = rng.choice(["7", "7", "7", "9"])
            instruction = rng.choice(
                [
                    payout(cashback_id, user_id, amount, tax=rng.choice(["0", "2"])),
                    cancel(cashback_id, user_id, amount, cancel_type=-1),
                    cancel(cashback_id, user_id, amount, cancel_type=-2),
                ]
            )
            age_seconds = rng.choice([0.0] * 9 + [CUTOFF_SECONDS + 60])
            history.append((new_event(cashback_id, age_seconds=age_seconds), instruction))
    return history


def settle_in_parallel(
    ledger: Ledger, history: History, rng: random.Random
) -> dict[VerifiedEvent, list[Settlement]]:
    """Let every thread begin at once and work on its own shuffled share of all the calls."""
    calls = [pair for pair in history for _ in range(TIMES_EACH)]
    rng.shuffle(calls)
    barrier = Barrier(THREADS)

    def work(share: History) -> list[tuple[VerifiedEvent, Settlement]]:
        barrier.wait(timeout=120)
        return [(event, ledger.settle(event, instruction)) for event, instruction in share]

    answers: dict[VerifiedEvent, list[Settlement]] = defaultdict(list)
    with ThreadPoolExecutor(THREADS) as threads:
        for done in threads.map(work, [calls[number::THREADS] for number in range(THREADS)]):
            for event, settlement in done:
                answers[event].append(settlement)
    return answers


def settled(
    pool: ConnectionPool[DeadlineConnection],
    kind: type[Ledger] = Ledger,
    *,
    withhold_tax: bool,
    allow_negative: bool,
) -> Ledger:
    return kind(
        pool, policy=policy(withhold_tax=withhold_tax, allow_negative=allow_negative), timeout_seconds=120
    )


BOTH_KINDS = pytest.mark.parametrize("kind", [Ledger, GroupCommitLedger])


@BOTH_KINDS
@pytest.mark.parametrize("seed", range(6))
def test_parallel_calls_end_as_some_serial_order_would(
    database_url: str, kind: type[Ledger], seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - a test's history, not a secret
    withhold_tax, allow_negative = bool(seed % 2), bool(seed % 3)
    history = history_of(rng, cashbacks=6)
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pool_of(database_url, size=THREADS) as pool,
    ):
        for user_id, (currency, _) in USERS.items():
            add_user(connection, user_id, currency, balance_minor=START_MINOR)
        ledger = settled(pool, kind, withhold_tax=withhold_tax, allow_negative=allow_negative)

        answers = settle_in_parallel(ledger, history, rng)
        final = {event: ledger.settle(event, instruction) for event, instruction in history}

        assert audit(connection) == SOUND
        for event, given in answers.items():
            expect_one_answer(given, final[event])
        expect_one_effect(final)
        model = replay(history, final, withhold_tax=withhold_tax, allow_negative=allow_negative)
        assert balances(connection, *USERS) == {name: user.balance for name, user in model.users.items()}


def expect_one_answer(given: list[Settlement], last: Settlement) -> None:
    """Whatever was said of an event once it was decided, was said every time after."""
    decided = {(each.code, each.transaction) for each in given if each.code is not None}
    assert decided <= {(last.code, last.transaction)}


def expect_one_effect(final: dict[VerifiedEvent, Settlement]) -> None:
    successes = [
        each.transaction for each in final.values() if each.code == 200 and each.transaction is not None
    ]
    effects = Counter((made.cashback_id, made.transaction_type) for made in successes)
    assert set(effects.values()) <= {1}
    assert len({made.transaction_id for made in successes}) == len(successes)
    for each in final.values():
        if each.code == 103804:
            assert each.transaction in successes


def replay(
    history: History, final: dict[VerifiedEvent, Settlement], *, withhold_tax: bool, allow_negative: bool
) -> Model:
    """Run the successes alone through the model, in the order of their posting: all succeed again."""
    model = Model({name: User(exponent, balance=START_MINOR) for name, (_, exponent) in USERS.items()})
    made = [
        (outcome.transaction.transaction_id, event, instruction)
        for event, instruction in history
        if (outcome := final[event]).code == 200 and outcome.transaction is not None
    ]
    for _, event, instruction in sorted(made, key=lambda each: each[0]):
        again = model.settle(
            event.token, instruction, late=False, withhold_tax=withhold_tax, allow_negative=allow_negative
        )
        assert again.code == 200
    return model


@BOTH_KINDS
def test_one_event_called_by_all_threads_at_once_is_credited_once(
    database_url: str, kind: type[Ledger]
) -> None:
    rng = random.Random(1)  # noqa: S311 - a test's history, not a secret
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pool_of(database_url, size=THREADS) as pool,
    ):
        add_user(connection, "ann")
        ledger = settled(pool, kind, withhold_tax=False, allow_negative=True)
        event = new_event(1)

        answers = settle_in_parallel(ledger, [(event, payout(1, "ann", "10"))] * THREADS, rng)

        assert {each.code for each in answers[event]} == {200}
        assert len({each.transaction for each in answers[event]}) == 1
        assert balances(connection, "ann") == {"ann": 1000}
        assert audit(connection) == SOUND


@BOTH_KINDS
def test_the_same_cashback_in_many_tokens_for_many_users_is_credited_once(
    database_url: str, kind: type[Ledger]
) -> None:
    rng = random.Random(2)  # noqa: S311 - a test's history, not a secret
    names = [f"user-{number}" for number in range(THREADS)]
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pool_of(database_url, size=THREADS) as pool,
    ):
        for name in names:
            add_user(connection, name)
        ledger = settled(pool, kind, withhold_tax=False, allow_negative=True)

        answers = settle_in_parallel(ledger, [(new_event(1), payout(1, name, "10")) for name in names], rng)

        codes = Counter(each.code for given in answers.values() for each in given)
        assert codes == {200: TIMES_EACH, 103804: TIMES_EACH * (THREADS - 1)}
        assert len({each.transaction for given in answers.values() for each in given}) == 1
        assert sorted(balances(connection, *names).values()) == [0] * (THREADS - 1) + [1000]
