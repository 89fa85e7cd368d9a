"""The plan of a fault suite's load: drawn from its seed, and in an order that BETCORE could send."""

import random

from tests.faults.load import all_creditable, plan_load


def test_the_same_seed_draws_the_same_load() -> None:
    def draw(seed: int) -> object:
        rng = random.Random(seed)  # noqa: S311 -- a replay, no secret
        return plan_load(rng, prefix="u", first_cashback_id=1, makes=500, rate_per_second=50.0)

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_a_load_repeats_and_cancels_only_what_it_sent_before() -> None:
    rng = random.Random(7)  # noqa: S311 -- a replay, no secret
    planned = plan_load(rng, prefix="u", first_cashback_id=1, makes=500, rate_per_second=50.0)

    first_at: dict[object, float] = {}
    for entry in planned:
        first_at.setdefault(entry.order["cashback_id"], entry.at_seconds)
    followers = [
        entry for entry in planned if entry.again is not None or entry.order["transaction_type"] == -1
    ]
    assert followers
    assert all(entry.at_seconds >= first_at[entry.order["cashback_id"]] + 0.5 for entry in followers)


def test_only_creditable_makes_leave_no_cancel_in_vain() -> None:
    rng = random.Random(7)  # noqa: S311 -- a replay, no secret
    planned = plan_load(rng, prefix="u", first_cashback_id=1, makes=500, rate_per_second=50.0)

    kept = all_creditable(planned)

    left_out = {make.order["user_id"] for make in planned if make not in kept}
    assert left_out == {"u-blocked", "u-nobody"}
    assert {make.again for make in kept} - {None} <= {make.number for make in kept}
