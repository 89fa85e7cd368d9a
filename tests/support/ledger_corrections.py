"""Adjustments in random histories of the ledger: what a person posts, asks for, approves and rejects."""

from decimal import Decimal

import psycopg
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.support.ledger_model import Model
from tests.support.ledger_strategies import CURRENCIES

LIMIT = 20
# Few keys and few amounts, so that they meet again.
keys = st.sampled_from(["a", "b", "c", "d"])
persons = st.sampled_from(["anna", "ben"])
names = st.sampled_from([*CURRENCIES, "nobody"])
adjusted_amounts = st.sampled_from(["5", "-5", "-20", "20.1", "-25", "0.001", "10.00", "1000000000000000"])


class Corrections(RuleBasedStateMachine):
    """The rules of a history; whoever inherits has the model, the books, and names of its own."""

    connection: psycopg.Connection
    model: Model
    run: int

    def user_id(self, name: str) -> str:
        """Return the user of this run."""
        raise NotImplementedError

    @rule(key=keys, name=names, amount=adjusted_amounts, allow_negative=st.booleans())
    def an_adjustment(self, *, key: str, name: str, amount: str, allow_negative: bool) -> None:
        self._set_rules(allow_negative=allow_negative)
        asked = (f"{key}-{self.run}", self.user_id(name), Decimal(amount))
        [(outcome, state)] = self.connection.execute(
            "SELECT outcome, state FROM adjust_account(%s, %s, %s, 'anna', 'why')", asked
        ).fetchall()
        assert (outcome, state) == self.model.adjust(*asked, limit=LIMIT, allow_negative=allow_negative)

    @rule(
        key=keys,
        approves=st.booleans(),
        person=st.sampled_from(["anna", "ben"]),
        allow_negative=st.booleans(),
    )
    def a_second_person(self, *, key: str, approves: bool, person: str, allow_negative: bool) -> None:
        self._set_rules(allow_negative=allow_negative)
        name = f"{key}-{self.run}"
        [(outcome,)] = self.connection.execute(
            "SELECT outcome FROM decide_adjustment(%s, %s, %s, 'why')", (name, approves, person)
        ).fetchall()
        assert outcome == self.model.decide_adjustment(
            name, approves=approves, is_second=person != "anna", allow_negative=allow_negative
        )

    def _set_rules(self, *, allow_negative: bool) -> None:
        self.connection.execute(
            "SELECT set_correction_rules(%s, 1e12, 'person', %s, 'the tests')", (LIMIT, allow_negative)
        )
