"""Where tests run servers and processes: a directory for each run, kept with its logs when a test fails.

A plugin of pytest. The failure report shows the end of each log that was written during the test.
"""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

import pytest

# Not under pytest's own base directory: each new run of pytest closes that to all other users, and as root
# PostgreSQL runs as another one.
KEPT: Final = Path(tempfile.gettempdir()) / f"cashback-tests-{os.getuid()}"
MAX_RUNS: Final = 6
MAX_AGE_SECONDS: Final = 3 * 86_400.0
MAX_BYTES: Final = 2 * 1024**3
TAIL_LINES: Final = 40
_TAIL_BYTES: Final = 65_536
_MAX_LOGS: Final = 20
_LOCK: Final = "run.lock"

_RUN = pytest.StashKey[Path]()
_LOCKED = pytest.StashKey[TextIO]()
_BASE = pytest.StashKey[Path]()
_BEGUN = pytest.StashKey[float]()
_FAILED = pytest.StashKey[bool]()
_OWN = pytest.StashKey[list[Path]]()


@pytest.fixture(scope="session")
def server_directory(pytestconfig: pytest.Config) -> Path:
    """Give a directory for servers that serve many tests; it goes at the end unless a test failed."""
    KEPT.mkdir(mode=0o755, exist_ok=True)
    remove_old_runs(KEPT, now=time.time())
    run = Path(tempfile.mkdtemp(prefix=time.strftime("%m%d-%H%M%S-"), dir=KEPT))
    lock = (run / _LOCK).open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    pytestconfig.stash[_RUN], pytestconfig.stash[_LOCKED] = run, lock
    return run


@pytest.fixture
def own_directory(server_directory: Path, request: pytest.FixtureRequest) -> Path:
    """Give a directory of the test's own for what it runs, not made yet; it goes unless the test fails."""
    name = re.sub(r"\W+", "-", request.node.name)[:60]
    parent = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=server_directory))
    request.node.stash.setdefault(_OWN, []).append(parent)
    return parent / "run"


@pytest.fixture(scope="session", autouse=True)
def _base_directory(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytestconfig.stash[_BASE] = tmp_path_factory.getbasetemp()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of the logs to a failure, and remove the directory of a test that passed."""
    report = yield
    begun = item.stash.setdefault(_BEGUN, call.start)
    stash = item.config.stash
    if report.failed:
        item.stash[_FAILED] = True
        roots = [stash[key] for key in (_RUN, _BASE) if key in stash]
        report.sections += log_tails(roots, since=begun)
    if report.when == "teardown" and not item.stash.get(_FAILED, False):
        for directory in item.stash.get(_OWN, []):
            shutil.rmtree(directory, ignore_errors=True)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the run's directory when every test passed."""
    stash = session.config.stash
    if _RUN in stash and not session.testsfailed:
        shutil.rmtree(stash[_RUN], ignore_errors=True)


def log_tails(roots: Iterable[Path], *, since: float) -> list[tuple[str, str]]:
    """Return a title and the last lines of each log under `roots` that was written `since` (Unix seconds)."""
    files = (found for root in roots for found in _files(root))
    logs = [(stat.st_mtime, path) for path, stat in files if path.suffix == ".log" and stat.st_size]
    written = sorted((log for log in logs if log[0] >= since), reverse=True)
    return [(f"end of {path}", _tail(path)) for _, path in written[:_MAX_LOGS]]


def remove_old_runs(kept: Path, *, now: float) -> None:
    """Remove what earlier runs left, but for the youngest few; what still runs is left alone."""
    ended = []
    for path in kept.iterdir():
        # Another session may be removing it at the same time.
        with suppress(FileNotFoundError):
            if not _is_at_work(path):
                ended.append((path.stat().st_mtime, path))
    total_bytes = 0
    for number, (ended_at, run) in enumerate(sorted(ended, reverse=True), start=1):
        total_bytes += sum(stat.st_size for _, stat in _files(run))
        if number > MAX_RUNS or total_bytes > MAX_BYTES or now - ended_at > MAX_AGE_SECONDS:
            shutil.rmtree(run, ignore_errors=True)


def _is_at_work(run: Path) -> bool:
    try:
        with (run / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        # Its run was killed before it had a lock, or another one is just removing it.
        return False
    return False


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    # Unlike Path.rglob it bears with what vanishes under its hands.
    for directory, _, names in os.walk(root):
        for path in (Path(directory) / name for name in names):
            with suppress(OSError):
                yield path, path.stat()


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-TAIL_LINES:])
    except OSError as error:
        # It must not hide the failure that it should explain.
        return f"(cannot be read: {error})"
