"""The soak's load: the same for the same seed, with bad requests that no good one is taken for."""

import itertools
import random

from tests.soak.illness import CYCLE, WELL, timed
from tests.soak.load import FIRST_BAD_CASHBACK_ID, CyclePlan, Cycles, plan_cycle


def plan(number: int, *, seed: int = 7) -> CyclePlan:
    rng = random.Random(seed)  # noqa: S311 -- a replay, no secret
    return plan_cycle(rng, number=number, cycle_seconds=60.0, rate_per_second=60.0)


def test_a_cycle_holds_its_rate_with_all_kinds_of_makes() -> None:
    drawn = plan(0)

    assert len(drawn.good) + len(drawn.bad) == 3_600
    assert len(drawn.bad) == 108
    assert any(make.again is not None for make in drawn.good)
    assert {make.order["transaction_type"] for make in drawn.good} == {1, -1}
    assert all(0 <= make.at_seconds < 60.0 for make in (*drawn.good, *drawn.bad))


def test_the_same_seed_draws_the_same_cycle() -> None:
    assert plan(3) == plan(3)
    assert plan(3) != plan(3, seed=8)


def test_bad_requests_are_spoiled_and_told_apart() -> None:
    drawn = plan(1)

    assert all(make.order["tamper"] != "none" for make in drawn.bad)
    assert len({make.order["tamper"] for make in drawn.bad}) > 5
    assert all(int(str(make.order["cashback_id"])) >= FIRST_BAD_CASHBACK_ID for make in drawn.bad)
    assert all(int(str(make.order["cashback_id"])) < FIRST_BAD_CASHBACK_ID for make in drawn.good)


def test_no_two_cycles_share_a_cashback() -> None:
    first, second = ({make.order["cashback_id"] for make in plan(number).good} for number in (0, 1))

    assert not first & second


def test_before_anything_is_sent_there_are_no_events() -> None:
    cycles = Cycles(simulator_url="http://127.0.0.1:9")

    cycles.join()

    assert cycles.events == 0


def test_phases_fill_their_cycle_and_end_well() -> None:
    phases = timed(CYCLE, cycle_seconds=30.0)

    assert phases[0].begins_seconds == 0.0
    assert all(a.ends_seconds == b.begins_seconds for a, b in itertools.pairwise(phases))
    assert abs(phases[-1].ends_seconds - 30.0) < 1e-9
    assert phases[-1].phase.behaviour == WELL


def test_betcore_is_ill_for_a_good_part_of_a_cycle_and_in_many_ways() -> None:
    ill = [phase for phase in CYCLE if phase.is_ill]

    assert {phase.behaviour["accept"] for phase in ill} >= {"slow:2", "503", "drop", "lost", "half", "401"}
    assert 0.3 < sum(phase.share for phase in ill) / sum(phase.share for phase in CYCLE) < 0.7
