"""What a failed test leaves to be read: its directory, and the ends of the logs in its report."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.environment import ROOT
from tests.support import kept_runs

END_OF_A_HANG_SECONDS = 250
TESTS = """
def leave(directory, text):
    directory.mkdir()
    (directory / "worker.log").write_text(text)

def test_good(own_directory):
    leave(own_directory, "all is well")

def test_bad(own_directory, tmp_path):
    leave(own_directory, "why it failed")
    leave(tmp_path / "pytest-own", "and this, too")
    raise AssertionError

def test_without():
    pass
"""


def run_tests(directory: Path, *arguments: str) -> tuple[str, Path]:
    """Run TESTS in a pytest of its own; return what it printed and where its runs are kept."""
    path = directory / "test_some.py"
    path.write_text(TESTS)
    temporary = directory / "tmp"
    temporary.mkdir()
    plain = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(directory)]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.kept_runs", *plain, str(path), *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=END_OF_A_HANG_SECONDS,
        check=False,
    )
    return result.stdout + result.stderr, temporary / kept_runs.KEPT.name


def test_a_failed_test_shows_the_ends_of_its_logs_and_keeps_its_directory(tmp_path: Path) -> None:
    printed, kept = run_tests(tmp_path)

    assert "2 passed, 1 failed" in printed or "1 failed, 2 passed" in printed
    assert "why it failed" in printed
    assert "and this, too" in printed
    assert "all is well" not in printed
    (left,) = kept.rglob("worker.log")
    assert left.read_text() == "why it failed"
    assert f"end of {left}" in printed


def test_when_all_tests_pass_nothing_is_left(tmp_path: Path) -> None:
    printed, kept = run_tests(tmp_path, "-k", "good or without")

    assert "2 passed" in printed
    assert list(kept.iterdir()) == []


def run_of(kept: Path, number: int, *, size: int = 0) -> Path:
    """Make what a run left, the later the higher its number."""
    run = kept / f"run-{number}"
    run.mkdir()
    (run / "some.log").write_bytes(b"x" * size)
    os.utime(run, (number, number))
    return run


def test_of_the_runs_that_ended_the_youngest_are_kept_and_one_at_work_is_left_alone(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, number) for number in range(1, kept_runs.MAX_RUNS + 4)]
    with (runs[0] / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        kept_runs.remove_old_runs(tmp_path, now=100.0)

        assert set(tmp_path.iterdir()) == {runs[0], *runs[3:]}


def test_runs_that_are_old_or_too_large_together_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_runs, "MAX_BYTES", 1_000)
    large, young = run_of(tmp_path, 5, size=900), run_of(tmp_path, 9, size=200)

    kept_runs.remove_old_runs(tmp_path, now=100.0)
    assert list(tmp_path.iterdir()) == [young]
    assert not large.exists()

    kept_runs.remove_old_runs(tmp_path, now=10 + kept_runs.MAX_AGE_SECONDS)
    assert list(tmp_path.iterdir()) == []
