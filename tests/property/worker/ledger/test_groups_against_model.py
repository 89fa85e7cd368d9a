"""Random groups, in the middle of random histories, through the SQL ledger and through the model."""

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.support.ledger_histories import LedgerAgainstModel, run_histories
from tests.support.ledger_model import Outcome
from tests.support.ledger_strategies import amounts, cashbacks, choices, taxes, users
from worker.domain.settlement import Kind
from worker.ledger.ledger import SettlementRequest

Make = tuple[int, int | None, str, object, object, bool]

# Mostly sound payouts, so that members of one group often want the same business key.
groups = st.lists(
    st.tuples(
        cashbacks,
        st.sampled_from([1, 1, 1, 1, -1, -1, -2, None]),
        users,
        st.one_of(st.just("10"), st.just("10"), amounts),
        st.one_of(st.just("0"), st.just("2"), taxes),
        st.sampled_from([False] * 7 + [True]),
    ),
    min_size=1,
    max_size=6,
)


class GroupsAgainstModel(LedgerAgainstModel):
    """What the single calls are held against, and groups among them."""

    @rule(makes=groups, twin=st.booleans(), redelivered=choices, withhold_tax=st.booleans())
    def a_group(self, *, makes: list[Make], twin: bool, redelivered: int, withhold_tax: bool) -> None:
        places = [redelivered % len(self.history)] if self.history else []
        for number, transaction_type, name, amount, tax, late in [*makes, *makes[: int(twin)]]:
            places.append(len(self.history))
            self.receive(number, transaction_type, name, amount, tax, late=late)
        requests = [
            SettlementRequest(event=event, instruction=instruction, attempt_seconds=3.0)
            for event, instruction, _ in (self.history[place] for place in places)
        ]
        undecided = {place for place in places if self.standing(place).code is None}
        ledger = self.ledger(withhold_tax=withhold_tax)

        settled = ledger.settle_group(requests, deadline=ledger.next_deadline())

        # Some serial order gives the same: who posts nothing goes first, and who was left out goes last.
        inside = [place for place in places if self.id_at(place) in settled]
        for place in sorted(inside, key=lambda place: settled[self.id_at(place)].code == 200):
            event, instruction, late = self.history[place]
            expected = self.model.settle(
                event.token, instruction, late=late, withhold_tax=withhold_tax, allow_negative=True
            )
            self.compare(settled[event.event_id], expected)
        taken = {self.key_at(place) for place in inside if settled[self.id_at(place)].code == 200}
        for place in (place for place in places if place not in inside):
            assert place in undecided
            assert self.history[place][1].kind is Kind.CANCEL or self.key_at(place) in taken
            self.settle(place, withhold_tax=withhold_tax, allow_negative=True)

    def standing(self, place: int) -> Outcome:
        return self.model.events.get(self.history[place][0].token, Outcome())

    def id_at(self, place: int) -> UUID:
        return self.history[place][0].event_id

    def key_at(self, place: int) -> tuple[int, int | None]:
        event, instruction, _ = self.history[place]
        return event.cashback_id, instruction.transaction_type


def test_no_history_with_groups_in_it_tells_the_ledger_from_its_model(database_url: str) -> None:
    run_histories(GroupsAgainstModel, database_url, max_examples=100, steps=25)
