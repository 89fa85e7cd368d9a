"""Random histories that go through the SQL ledger and through its model, which are compared at each step."""

import itertools
from decimal import Decimal

import psycopg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test
from psycopg_pool import ConnectionPool

from tests.support.books import (
    CANCEL_TYPES,
    CUTOFF_SECONDS,
    SOUND,
    add_user,
    audit,
    balances,
    move,
    new_event,
    policy,
    pool_of,
)
from tests.support.ledger_corrections import Corrections
from tests.support.ledger_model import Model, Outcome, Posted, User
from tests.support.ledger_strategies import CURRENCIES, amounts, cashbacks, choices, taxes, types, users
from worker.domain.settlement import Instruction, Kind, PostedTransaction, Settlement, State, read_instruction
from worker.ledger.database import DeadlineConnection
from worker.ledger.ledger import Ledger, VerifiedEvent

LATE_SECONDS = CUTOFF_SECONDS + 60

_runs = itertools.count(1)


class LedgerAgainstModel(Corrections):
    """Each rule does one thing to both; the invariants compare them."""

    def __init__(self, connection: psycopg.Connection, pool: ConnectionPool[DeadlineConnection]) -> None:
        super().__init__()
        self.connection = connection
        self.pool = pool
        self.run = next(_runs)
        self.model = Model()
        self.history: list[tuple[VerifiedEvent, Instruction, bool]] = []
        self.transaction_ids: dict[Posted, int] = {}

    @initialize(start=st.sampled_from([0, 1000]))
    def open_accounts(self, start: int) -> None:
        for name, (currency, exponent) in CURRENCIES.items():
            add_user(self.connection, self.user_id(name), currency, balance_minor=start)
            self.model.users[self.user_id(name)] = User(exponent, balance=start)

    def user_id(self, name: str) -> str:
        return f"{name}-{self.run}"

    @rule(
        number=cashbacks,
        transaction_type=types,
        name=users,
        amount=amounts,
        tax=taxes,
        late=st.sampled_from([False] * 7 + [True]),
        withhold_tax=st.booleans(),
        allow_negative=st.booleans(),
        cancel_blocked=st.booleans(),
    )
    def a_new_make(  # noqa: PLR0913 - the members of a make
        self,
        *,
        number: int,
        transaction_type: int | None,
        name: str,
        amount: object,
        tax: object,
        late: bool,
        withhold_tax: bool,
        allow_negative: bool,
        cancel_blocked: bool,
    ) -> None:
        self.receive(number, transaction_type, name, amount, tax, late=late)
        self.settle(
            len(self.history) - 1,
            withhold_tax=withhold_tax,
            allow_negative=allow_negative,
            cancel_blocked=cancel_blocked,
        )

    @rule(choice=choices, withhold_tax=st.booleans(), allow_negative=st.booleans())
    def a_redelivery(self, *, choice: int, withhold_tax: bool, allow_negative: bool) -> None:
        if self.history:
            self.settle(choice % len(self.history), withhold_tax=withhold_tax, allow_negative=allow_negative)

    @rule(
        choice=choices,
        cancel_type=st.sampled_from([-1, -2]),
        allow_negative=st.booleans(),
        cancel_blocked=st.booleans(),
    )
    def a_cancel_of_a_payout(
        self, *, choice: int, cancel_type: int, allow_negative: bool, cancel_blocked: bool
    ) -> None:
        paid = [each for each in self.model.posted.values() if each.kind is Kind.PAYOUT]
        if paid:
            payout = paid[choice % len(paid)]
            exponent = self.model.users[payout.user_id].exponent
            instruction = Instruction(
                cashback_id=payout.key[0],
                kind=Kind.CANCEL,
                transaction_type=cancel_type,
                user_id=payout.user_id,
                amount=Decimal(payout.amount).scaleb(-exponent),
                tax=Decimal(0),
            )
            self.history.append((new_event(payout.key[0]), instruction, False))
            self.settle(
                len(self.history) - 1,
                withhold_tax=False,
                allow_negative=allow_negative,
                cancel_blocked=cancel_blocked,
            )

    @rule(name=st.sampled_from([*CURRENCIES]))
    def a_user_spends_all(self, *, name: str) -> None:
        user = self.model.users[self.user_id(name)]
        if user.balance > 0:
            move(self.connection, self.user_id(name), -user.balance)
            user.balance = 0

    @rule(choice=choices)
    def the_same_in_a_new_token(self, *, choice: int) -> None:
        if self.history:
            event, instruction, _ = self.history[choice % len(self.history)]
            self.history.append((new_event(event.cashback_id), instruction, False))
            self.settle(len(self.history) - 1, withhold_tax=False, allow_negative=True)

    @rule(choice=choices)
    def giving_up(self, *, choice: int) -> None:
        event, _, late = self.event(choice)
        expected = self.model.give_up(event.token, late=late)
        actual = self.ledger().give_up(event.event_id)
        assert (actual is None) == (expected is None)
        if actual is not None and expected is not None:
            self.compare(actual, expected)

    @rule(choice=choices, state=st.sampled_from([State.REFUSED, State.EXPIRED]))
    def a_bad_end(self, *, choice: int, state: State) -> None:
        event, _, _ = self.event(choice)
        assert self.ledger().close(event.event_id, state, error="why") == self.model.close(event.token, state)

    @rule(picked=st.lists(choices, min_size=1, max_size=4))
    def answers_of_betcore(self, *, picked: list[int]) -> None:
        events = {event.token: event for event, _, _ in map(self.event, picked)}
        expected = sum(self.model.mark_answered(token) for token in events)
        assert self.ledger().mark_answered([event.event_id for event in events.values()]) == expected

    @rule(choice=choices)
    def putting_off(self, *, choice: int) -> None:
        event, _, _ = self.event(choice)
        done = self.ledger().postpone(event.event_id, delay_seconds=1.5, error="why")
        assert done == self.model.is_open(event.token)

    @rule(name=st.sampled_from([*CURRENCIES]), blocked=st.booleans())
    def an_operator_blocks_or_unblocks(self, *, name: str, blocked: bool) -> None:
        self.connection.execute(
            "UPDATE accounts SET status = %s WHERE user_id = %s",
            ("blocked" if blocked else "active", self.user_id(name)),
        )
        self.model.users[self.user_id(name)].blocked = blocked

    @invariant()
    def balances_are_the_same(self) -> None:
        expected = {user_id: user.balance for user_id, user in self.model.users.items()}
        assert balances(self.connection, *expected) == expected

    @invariant()
    def receipts_are_the_same(self) -> None:
        ids = [event.event_id for event, _, _ in self.history]
        rows = self.connection.execute(
            "SELECT token_of(event_id), state, code, unconfirmed FROM receipts WHERE event_id = ANY(%s)",
            (ids,),
        ).fetchall()
        assert {row[0]: row[1:] for row in rows} == {
            token: (outcome.state, outcome.code, outcome.unconfirmed)
            for token, outcome in self.model.events.items()
        }

    def teardown(self) -> None:
        assert audit(self.connection) == SOUND

    def ledger(
        self, *, withhold_tax: bool = False, allow_negative: bool = True, cancel_blocked: bool = True
    ) -> Ledger:
        return Ledger(
            self.pool,
            policy=policy(
                withhold_tax=withhold_tax, allow_negative=allow_negative, cancel_blocked=cancel_blocked
            ),
            timeout_seconds=120,
        )

    def receive(  # noqa: PLR0913 - the members of a make
        self, number: int, transaction_type: int | None, name: str, amount: object, tax: object, *, late: bool
    ) -> VerifiedEvent:
        """Add a make to the history."""
        cashback_id = self.run * 10 + number
        data = {
            "PartnerUserId": self.user_id(name),
            "TransactionType": transaction_type,
            "Amount": amount,
            "TaxAmount": tax,
        }
        instruction = read_instruction(data, cashback_id=cashback_id, cancel_types=CANCEL_TYPES)
        event = new_event(cashback_id, age_seconds=LATE_SECONDS if late else 0)
        self.history.append((event, instruction, late))
        return event

    def event(self, choice: int) -> tuple[VerifiedEvent, Instruction, bool]:
        """Return an event of the history, or now and then one that nobody ever received."""
        index = choice % (len(self.history) + 1)
        if index < len(self.history):
            return self.history[index]
        stranger = read_instruction({}, cashback_id=1, cancel_types=CANCEL_TYPES)
        return new_event(1), stranger, False

    def settle(
        self, index: int, *, withhold_tax: bool, allow_negative: bool, cancel_blocked: bool = True
    ) -> None:
        event, instruction, late = self.history[index]
        decided = {
            "withhold_tax": withhold_tax,
            "allow_negative": allow_negative,
            "cancel_blocked": cancel_blocked,
        }
        expected = self.model.settle(event.token, instruction, late=late, **decided)
        ledger = self.ledger(**decided)
        self.compare(ledger.settle(event, instruction), expected)

    def compare(self, actual: Settlement, expected: Outcome) -> None:
        assert (actual.state, actual.code) == (expected.state, expected.code)
        assert (actual.transaction is None) == (expected.transaction is None)
        if actual.transaction is not None and expected.transaction is not None:
            self.compare_transactions(actual.transaction, expected.transaction)

    def compare_transactions(self, actual: PostedTransaction, expected: Posted) -> None:
        exponent = self.model.users[expected.user_id].exponent
        assert (actual.cashback_id, actual.transaction_type) == expected.key
        assert (actual.user_id, actual.exponent) == (expected.user_id, exponent)
        assert (actual.amount_minor, actual.tax_minor) == (expected.amount, expected.tax)
        # The transaction is for ever the one of the first time, and never another's.
        assert self.transaction_ids.setdefault(expected, actual.transaction_id) == actual.transaction_id
        assert len(set(self.transaction_ids.values())) == len(self.transaction_ids)


def run_histories(
    machine: type[LedgerAgainstModel], database_url: str, *, max_examples: int, steps: int
) -> None:
    """Run a machine's histories on a database."""
    with psycopg.connect(database_url, autocommit=True) as connection, pool_of(database_url) as pool:

        class OnThisDatabase(machine):  # type: ignore[valid-type, misc] # whichever it is
            def __init__(self) -> None:
                super().__init__(connection, pool)

        run_state_machine_as_test(
            OnThisDatabase,
            settings=settings(max_examples=max_examples, stateful_step_count=steps),
        )
