"""From records and looks to ratios, verdicts and tables."""

import pytest

from tests.siege.catalogue import ATTACKS
from tests.siege.figures import Look, Phases, Seen, Window, ratio_of, seen_in, window_of, windows_of
from tests.siege.report import (
    build_report,
    cells_of,
    closing_line,
    cost_of_request,
    cpu_ratio_of,
    markdown_of,
    row_of,
)
from tests.siege.run import Besieged

PHASES = Phases(warm_up=1.0, before=4.0, attack=8.0, calm=1.0, after=4.0)
FACTS = {
    "seed": 1,
    "attack_seconds": 8.0,
    "seconds": 60.0,
    "machine": {"cpus": 2, "processor": "x86_64", "system": "Linux", "load_before": 0.1},
}
SEEN = Seen(
    rss_before_mb=80.0,
    rss_greatest_mb=90.0,
    rss_after_mb=85.0,
    log_bytes=2_000,
    cpu={"before": 0.1, "attack": 0.5},
)


def besieged(*, before: int, attack: int, survived: bool = True) -> Besieged:
    """Return a run with so many makes a second answered."""
    records = [
        *((1 + number / before, 200, 1.0) for number in range(4 * before)),
        *((5 + number / attack, 200, 1.0) for number in range(8 * attack)),
        *((14 + number / before, 200, 1.0) for number in range(4 * before)),
    ]
    return Besieged(
        windows=windows_of(records, PHASES),
        seen=SEEN,
        attacker={"requests": 800, "bytes_sent": 1_000_000, "opened": 20},
        betcore={"jwks": 2, "verify": 0},
        survived=survived,
    )


def test_parts_follow_each_other_without_warm_up_and_calm() -> None:
    assert PHASES.windows() == {"before": (1.0, 5.0), "attack": (5.0, 13.0), "after": (14.0, 18.0)}
    assert PHASES.seconds == 18.0


def test_only_what_was_answered_well_and_soon_counts() -> None:
    records = [
        (0.5, 200, 1.0),
        (1.0, 200, 2_000.0),
        (1.5, 200, 2_001.0),
        (2.0, 503, 1.0),
        (2.5, 0, 2_000.0),
        (3.0, 200, 1.0),
    ]

    window = window_of(records, 1.0, 3.0)

    assert (window.makes, window.answered, window.refused, window.lost) == (4, 1, 1, 1)
    assert (window.share, window.per_second) == (0.25, 0.5)


def test_nothing_answered_is_a_ratio_of_nothing() -> None:
    silent = window_of([], 0.0, 1.0)
    busy = window_of([(0.5, 200, 1.0)], 0.0, 1.0)

    assert silent.p99_ms is None
    assert ratio_of({"before": busy, "attack": silent}) == 0
    assert ratio_of({"before": silent, "attack": busy}) == 0


def test_the_ratio_is_of_makes_a_second() -> None:
    assert besieged(before=200, attack=50).ratio == pytest.approx(0.25)


def test_memory_log_and_processor_time_are_the_attacks_own() -> None:
    looks = [
        Look(at=100.0 + at, rss_mb=200.0 if at == 2 else 80.0 + at, cpu_seconds=at / 2, log_bytes=1_000 * at)
        for at in range(19)
    ]

    seen = seen_in(looks, PHASES, begun=100.0)

    # What was held before the attack is not the attack's.
    assert (seen.rss_before_mb, seen.rss_greatest_mb, seen.rss_after_mb) == (85.0, 98.0, 98.0)
    assert seen.log_bytes == 9_000
    assert seen.cpu == pytest.approx({"before": 0.5, "attack": 0.5, "after": 0.5})


def test_a_receiver_that_died_early_is_seen_as_far_as_it_lived() -> None:
    looks = [Look(at=100.0, rss_mb=80.0, cpu_seconds=0.0, log_bytes=0)]

    assert seen_in(looks, PHASES, begun=100.0).cpu == {"before": 0.0, "attack": 0.0, "after": 0.0}


@pytest.mark.parametrize(
    ("name", "attack", "survived", "verdict", "is_ok"),
    [
        ("garbage", 100, True, "held", True),
        ("garbage", 99, True, "BROKEN", False),
        ("garbage", 200, False, "BROKEN", False),
        ("garbage-flat-out", 1, True, "stated", True),
    ],
)
def test_what_is_judged_is_held_or_broken(
    *, name: str, attack: int, survived: bool, verdict: str, is_ok: bool
) -> None:
    steady = besieged(before=200, attack=200)
    row = row_of(
        ATTACKS[name], {"open": steady, "closed": besieged(before=200, attack=attack, survived=survived)}
    )
    report = build_report(facts=FACTS, rows={name: row}, failures={})

    assert cells_of(row)[-1] == verdict
    assert report["ok"] == is_ok
    assert ("BROKEN" in closing_line(report)) != is_ok


def test_an_attack_that_could_not_be_laid_is_no_success() -> None:
    row = row_of(
        ATTACKS["garbage"], {"open": besieged(before=200, attack=200), "closed": besieged(before=9, attack=9)}
    )

    assert not build_report(facts=FACTS, rows={"garbage": row}, failures={"head": "broken"})["ok"]
    assert not build_report(facts=FACTS, rows={}, failures={})["ok"]


def test_the_document_has_a_line_for_each_attack() -> None:
    row = row_of(
        ATTACKS["garbage"], {"open": besieged(before=200, attack=200), "closed": besieged(before=9, attack=9)}
    )

    part = markdown_of(build_report(facts=FACTS, rows={"garbage": row}, failures={"head": "broken"}))

    [line] = [line for line in part.splitlines() if line.startswith(f"| {ATTACKS['garbage'].title} |")]
    heads = next(line for line in part.splitlines() if line.startswith("| attack"))
    assert line.count("|") == heads.count("|")
    assert "| 100, 100, 100 | 1.00 |" in line
    assert "*head*" in part


def test_a_window_without_makes_has_no_share() -> None:
    window = Window(seconds=1.0, makes=0, answered=0, refused=0, lost=0, p50_ms=None, p99_ms=None)

    assert window.share == 0


def test_processor_time_says_what_honest_makes_keep_on_a_busy_machine() -> None:
    # A tenth of a core for 200 makes before; half a core for 400 makes and 100 requests of the attack.
    row = row_of(
        ATTACKS["garbage"],
        {"open": besieged(before=200, attack=200), "closed": besieged(before=200, attack=400)},
    )

    assert cpu_ratio_of(row["closed"]) == pytest.approx(0.4)
    assert cost_of_request(row["closed"]) == pytest.approx(6.0)


def test_too_little_is_no_cost() -> None:
    row = row_of(
        ATTACKS["nothing"],
        {"open": besieged(before=200, attack=200), "closed": besieged(before=200, attack=400)},
    )
    row["closed"]["attacker"]["requests"] = 3
    row["closed"]["seen"]["cpu"] = {"before": 0.0, "attack": 0.5}

    assert cost_of_request(row["closed"]) is None
    assert cpu_ratio_of(row["closed"]) is None
