"""Child processes do as they are told, and none is left behind."""

import random
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no type information
import pytest

from deploy.local.errors import NotReadyInTime, ProcessAlreadyRuns, ProcessDied, ProcessNotRunning
from deploy.local.ports import free_port
from deploy.local.processes import ManagedProcess, running, wait_until

# Says its own id and its child's, then waits for ever.
PARENT = "sleep 1000 & echo $$ $!; wait"
# Does not let itself be told.
STUBBORN = "trap '' TERM INT; echo deaf; while :; do sleep 1000; done"
# A supervisor that is killed: it starts a child and says so.
SUPERVISOR = """
import sys, time
from pathlib import Path
from deploy.local.processes import ManagedProcess
child = ManagedProcess(name="child", argv=["sleep", "1000"], log_path=Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(1000)
"""


def shell(script: str, log_path: Path) -> ManagedProcess:
    return ManagedProcess(name="script", argv=["/bin/sh", "-c", script], log_path=log_path)


def said(process: ManagedProcess) -> list[str]:
    wait_until(
        lambda: bool(process.log_tail()), what="it says something", timeout_seconds=120, process=process
    )
    return process.log_tail().split()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "process.log"


@pytest.fixture
def parent(log_path: Path) -> Iterator[ManagedProcess]:
    with running(shell(PARENT, log_path)) as process:
        yield process


def test_stop_asks_first_and_takes_the_whole_group(parent: ManagedProcess) -> None:
    own, child = (int(word) for word in said(parent))

    returncode = parent.stop(timeout_seconds=120)

    assert own == parent.pid
    assert returncode == -signal.SIGTERM
    assert gone(child)


def test_stop_kills_what_does_not_listen(log_path: Path) -> None:
    with running(shell(STUBBORN, log_path)) as process:
        said(process)

        returncode = process.stop(timeout_seconds=0.2)

    assert returncode == -signal.SIGKILL


def test_stop_ends_a_frozen_process_in_good_order(parent: ManagedProcess) -> None:
    said(parent)
    parent.freeze()

    assert parent.stop(timeout_seconds=120) == -signal.SIGTERM


def test_kill_takes_the_descendants_too(parent: ManagedProcess) -> None:
    _, child = (int(word) for word in said(parent))

    parent.kill()

    assert parent.returncode == -signal.SIGKILL
    wait_until(lambda: gone(child), what="the child is gone", timeout_seconds=120)


def test_kill_takes_descendants_that_left_the_group(log_path: Path) -> None:
    with running(shell("setsid sleep 1000 & echo $!; wait", log_path)) as process:
        (child,) = said(process)

        process.kill()

    wait_until(lambda: gone(int(child)), what="the child is gone", timeout_seconds=120)


def test_a_frozen_process_and_its_children_stand_still_until_thawed(parent: ManagedProcess) -> None:
    family = [psutil.Process(int(word)) for word in said(parent)]

    parent.freeze()
    frozen = [member.status() for member in family]
    parent.thaw()
    thawed = [member.status() for member in family]

    assert frozen == [psutil.STATUS_STOPPED] * 2
    assert psutil.STATUS_STOPPED not in thawed
    assert parent.is_running


def test_a_process_can_be_started_again_but_not_twice_at_once(parent: ManagedProcess) -> None:
    first = parent.pid

    with pytest.raises(ProcessAlreadyRuns):
        parent.start()
    parent.stop()
    parent.start()

    assert parent.pid != first
    assert parent.is_running


def test_what_has_not_been_started_cannot_be_handled(log_path: Path) -> None:
    process = shell(PARENT, log_path)

    assert (process.is_running, process.returncode, process.log_tail()) == (False, None, "")
    for act in (process.freeze, process.thaw):
        with pytest.raises(ProcessNotRunning):
            act()
    process.kill()
    assert process.stop() is None


def test_a_program_that_does_not_exist_says_so_in_its_log(log_path: Path) -> None:
    process = ManagedProcess(name="ghost", argv=["no-such-program"], log_path=log_path)
    process.start()

    assert process.wait(timeout_seconds=120) == 127
    assert "no-such-program: No such file" in process.log_tail()


def test_waiting_for_a_process_that_dies_ends_at_once_and_shows_its_log(log_path: Path) -> None:
    with (
        running(shell("echo the reason; exit 3", log_path)) as process,
        pytest.raises(ProcessDied, match=r"(?s)script ended with status 3 before it is up.*the reason"),
    ):
        wait_until(lambda: False, what="it is up", timeout_seconds=250, process=process)


def test_waiting_in_vain_says_for_what(parent: ManagedProcess) -> None:
    with pytest.raises(NotReadyInTime, match=r"not within 0\.1 s: it is up"):
        wait_until(lambda: False, what="it is up", timeout_seconds=0.1, process=parent)
    with pytest.raises(NotReadyInTime, match="script has not ended"):
        parent.wait(timeout_seconds=0.1)


def test_a_child_outlives_the_thread_that_started_it(log_path: Path) -> None:
    process = shell(PARENT, log_path)
    thread = threading.Thread(target=process.start)

    thread.start()
    thread.join()
    with pytest.raises(NotReadyInTime):
        process.wait(timeout_seconds=0.3)

    process.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_dies_with_its_supervisor(log_path: Path, tmp_path: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-c", SUPERVISOR, str(tmp_path / "child.log")]
    with running(ManagedProcess(name="supervisor", argv=argv, log_path=log_path)) as supervisor:
        (child,) = said(supervisor)

        psutil.Process(supervisor.pid).send_signal(number)
        supervisor.wait(timeout_seconds=120)

        wait_until(lambda: gone(int(child)), what="the child is gone", timeout_seconds=120)


def test_free_ports_are_free() -> None:
    rng = random.Random(7)  # noqa: S311 -- repeatable, not secret
    state = rng.getstate()
    taken = free_port(rng=rng)

    rng.setstate(state)
    with socket.create_server(("127.0.0.1", taken)):
        another = free_port(rng=rng)

    assert another != taken
