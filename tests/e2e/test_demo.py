"""The demo as a user runs it, with a shorter deadline so that expiry comes soon."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.environment import ROOT

FIXED_KEYS = {
    "makes",
    "received",
    "rejected_at_door",
    "answered_in_time",
    "expired",
    "refused",
    "lost",
    "double_credits",
    "books_sum_minor",
    "latency_ms",
    "seconds",
}
# Far above what the demo takes on a slow machine.
END_OF_A_HANG_SECONDS = 600
HOPS = ["door", "verify", "receipt", "message", "verify_again", "ledger", "accept"]


@pytest.mark.timeout(END_OF_A_HANG_SECONDS + 60)
def test_the_demo_ends_well_and_its_report_adds_up(own_directory: Path) -> None:
    command = [sys.executable, "-m", "deploy.local", "demo", "--seed", "5", "--directory", str(own_directory)]
    times = {"CASHBACK_DEADLINE_SECONDS": "20", "CASHBACK_ANSWER_RESERVE_SECONDS": "5"}

    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **times},
        capture_output=True,
        text=True,
        timeout=END_OF_A_HANG_SECONDS,
        check=False,
    )

    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    report = json.loads((own_directory / "report.json").read_text("utf-8"))
    assert report.keys() >= FIXED_KEYS
    assert report["makes"] == 300
    assert report["rejected_at_door"] == 20
    # 300 makes, less those that the receiver refuses, less those in a token that was sent before.
    assert report["received"] == 260
    assert report["received"] == report["answered_in_time"] + report["expired"] + report["refused"]
    assert (report["expired"], report["refused"], report["unconfirmed"]) == (5, 3, 4)
    broken = ("lost", "double_credits", "books_sum_minor", "false_success", "late_credits")
    assert {name: report[name] for name in broken} == dict.fromkeys(broken, 0)
    assert report["unexpected"] == report["broken"] == []
    # Each answered event was told once at least, and those that BETCORE failed more than once.
    assert report["attempts"] > report["received"]
    assert 0 < report["ordinary_latency_ms"]["p50"] <= report["latency_ms"]["p99"]
    assert list(report["hops_ms"]) == HOPS
    assert all(value_ms > 0 for value_ms in report["hops_ms"].values())
    assert "all came as planned" in ended.stdout
    assert "300 of 300 makes sent, 260 of 260 received events ended" in ended.stdout
