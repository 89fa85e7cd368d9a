"""What the doctor found is told by part, the worst first, at 80 columns."""

import click
import pytest

from worker.cli.printing.doctor import print_findings, worst
from worker.doctor.finding import Finding, Level, advice, fault, good, unchecked

LIST = "cashback.partner.a-name-that-is-as-long-as-a-name-may-be-and-some-more-of-it-for-the-test"
FINDINGS = [
    good("redis", "redis_version", "Valkey 9 answers"),
    fault(
        "redis", "redis_memory", f"no room {'is left ' * 20}", f"redis-cli LMOVE '{LIST}' cashback RIGHT LEFT"
    ),
    unchecked("keys", "keys", "CASHBACK_BETCORE_URL is not set"),
    advice("redis", "redis_user", "\x1b[2Jthe user", "take another one"),
]


def test_each_part_begins_with_the_worst(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings(FINDINGS)

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == [
        *("fault", "advice", "good", "unchecked")
    ]
    assert lines[-1] == "1 fault, 1 advice, 1 unchecked, 1 good"


def test_it_fits_80_columns_and_what_is_to_be_copied_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings(FINDINGS)

    text = capsys.readouterr().out
    assert all(len(line) <= 80 or LIST in line for line in text.splitlines())
    assert LIST in text
    assert "\x1b" not in text


def test_at_a_terminal_each_verdict_has_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(click, "echo", said.append)

    print_findings(FINDINGS)

    assert any(line.startswith(click.style("  fault      ", fg="red")) for line in said)
    assert any(line.startswith(click.style("  advice     ", fg="yellow")) for line in said)


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    nothing: list[Finding] = []

    assert worst(FINDINGS) is Level.FAULT
    assert worst(FINDINGS[:1]) is worst(nothing) is Level.GOOD
