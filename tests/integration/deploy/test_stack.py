"""Everything on one machine: it comes up by one command, says what is wrong, and leaves nothing behind."""

import fcntl
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import httpx
import psutil  # type: ignore[import-untyped]  # ships no type information
import psycopg
import pytest

from deploy.local.environment import ROOT, ProcfileIncomplete, read_procfile
from deploy.local.errors import DirectoryInUse, ProcessDied, ProcessFailed
from deploy.local.ports import free_port
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.stack import Stack, StackOptions

ACCOUNTS = "user_id,currency,status,balance\n7,EUR,active,0\n"
UP_SECONDS = 200


@pytest.fixture
def directory(own_directory: Path) -> Path:
    return own_directory


def procfile(directory: Path, **lines: str) -> Path:
    """Write a Procfile whose processes do nothing but what is asked, and return its directory."""
    directory.mkdir(parents=True)
    commands = {
        "release": "true",
        "web": "exec sleep 1000",
        "worker": "exec sleep 1000",
        "flower": "true",
        **lines,
    }
    (directory / "Procfile").write_text("".join(f"{name}: {command}\n" for name, command in commands.items()))
    return directory


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if is_alive(process)]


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def up(directory: Path, *options: str) -> Iterator[ManagedProcess]:
    """Run `python -m deploy.local up` until its addresses are printed."""
    # Not the fixed ports: another run of these tests, or a `make up`, may be beside this one.
    first_port = str(free_port())
    argv = [sys.executable, "-m", "deploy.local", "up", "--directory", str(directory)]
    argv += ["--first-port", first_port, *options]
    log_path = directory.with_name(f"{directory.name}-up-{uuid4().hex[:8]}.log")
    with running(ManagedProcess(name="up", argv=argv, log_path=log_path)) as process:
        wait_until(
            lambda: "Ctrl-C stops everything" in process.log_tail(),
            what="the addresses are printed",
            timeout_seconds=UP_SECONDS,
            process=process,
        )
        yield process


def in_a_shell(directory: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line as somebody does who has evaluated what `make env` prints."""
    env = f"{shlex.quote(sys.executable)} -m deploy.local env --directory {shlex.quote(str(directory))}"
    return subprocess.run(
        ["/bin/sh", "-c", f'eval "$({env})" && {command}'],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def descendants_of(process: psutil.Process) -> list[psutil.Process]:
    descendants: list[psutil.Process] = process.children(recursive=True)
    return descendants


def test_a_make_goes_through_the_whole_and_a_second_worker_shares_the_load(directory: Path) -> None:
    before = set(descendants_of(psutil.Process()))
    with Stack(StackOptions(directory=directory, accounts_csv=ACCOUNTS)) as stack:
        stack.add_worker()
        order = {"cashback_id": 480, "user_id": "7", "amount": "10.00"}
        sent = httpx.post(f"{stack.simulator_url}/sim/makes", json=order).json()
        wait_until(
            lambda: any(entry["acknowledged"] for entry in log_of(stack)["accepts"]),
            what="the accept is acknowledged",
            timeout_seconds=120,
        )
        flower = httpx.get(f"{stack.flower_url}/workers").status_code
        login = tuple(stack.flower_login.split(":", 1))
        workers = httpx.get(f"{stack.flower_url}/workers", auth=(login[0], login[1])).text

        assert sent["reply"] == {"ErrorCode": 200, "Message": "Success"}
        (accept,) = (entry for entry in log_of(stack)["accepts"] if entry["acknowledged"])
        assert (accept["error_code"], accept["in_time"]) == (200, True)
        assert Decimal(str(accept["amount"])) == 10
        assert flower == 401
        for worker in (stack.processes["worker.1"], stack.processes["worker.2"]):
            assert f"worker-{worker.pid}@" in workers
        assert roles_at_work(stack.database_url) == {"cashback_receiver", "cashback_worker"}
        names = set(stack.processes)
        family = [process for process in descendants_of(psutil.Process()) if process not in before]

    assert names == {"valkey", "simulator", "postgres", "web", "worker.1", "worker.2", "flower"}
    assert len(family) >= len(names)
    assert alive(family) == []


def roles_at_work(database_url: str) -> set[str]:
    """Return the roles whose sessions are open beside this one."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT usename FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        ).fetchall()
    return {name for (name,) in rows}


def log_of(stack: Stack) -> dict[str, list[dict[str, object]]]:
    log: dict[str, list[dict[str, object]]] = httpx.get(f"{stack.simulator_url}/sim/log").json()
    return log


def test_servers_that_the_environment_names_are_used_and_left_alone(
    directory: Path, redis_url: str, database_url: str
) -> None:
    environ = {
        **StackOptions().environ,
        "CASHBACK_REDIS_URL": redis_url,
        "CASHBACK_DATABASE_URL": database_url,
    }
    with Stack(StackOptions(directory=directory, flower=False, environ=environ)) as stack:
        names = set(stack.processes)

        assert (stack.redis_url, stack.database_url) == (redis_url, database_url)

    assert names == {"simulator", "web", "worker.1"}


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        ({"release": "echo no schema; exit 7"}, ProcessFailed, r"(?s)release ended with status 7.*no schema"),
        ({"web": "echo no port; exit 3"}, ProcessDied, r"(?s)web ended with status 3.*no port"),
    ],
)
def test_a_start_that_fails_says_which_process_and_why_and_leaves_nothing_behind(
    directory: Path, broken: dict[str, str], error: type[Exception], message: str
) -> None:
    root = procfile(directory / "root", **broken)
    before = {process.pid for process in descendants_of(psutil.Process())}
    stack = Stack(StackOptions(directory=directory, root=root))

    with pytest.raises(error, match=message), stack:
        pass

    assert {process.pid for process in alive(descendants_of(psutil.Process()))} <= before
    assert {"valkey", "simulator", "postgres"} <= set(stack.processes)


def test_a_directory_serves_one_stack_at_a_time(directory: Path) -> None:
    directory.mkdir()
    stack = Stack(StackOptions(directory=directory))

    with (directory / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DirectoryInUse, match="another stack"), stack:
            pass

    assert [process.name for process in stack.processes.values() if process.is_running] == []


def test_up_prints_what_works_and_ends_well_on_ctrl_c(directory: Path) -> None:
    with up(directory) as process:
        printed = process.log_tail()
        address = re.search(r"Receiver\s+(\S+)/cashback-payments/make", printed)
        login = re.search(r"Flower\s+(\S+)\s+\(login (\w+):(\S+)\)", printed)
        line = re.search(r"curl .*", printed)
        assert address is not None
        assert login is not None
        assert line is not None
        ready = httpx.get(f"{address[1]}/readyz")
        flower = httpx.get(f"{login[1]}/workers", auth=(login[2], login[3]))
        curl = ManagedProcess(name="curl", argv=["/bin/sh", "-c", line[0]], log_path=directory / "curl.log")
        with running(curl):
            curl_status = curl.wait(timeout_seconds=120)
            sent = curl.log_tail()
        there = in_a_shell(
            directory, 'cashback list --state answered --json && echo "$CASHBACK_SIMULATOR_URL"'
        )
        children = descendants_of(psutil.Process(process.pid))

        psutil.Process(process.pid).send_signal(signal.SIGINT)

        assert process.wait(timeout_seconds=120) == 0
        assert "Stopped." in process.log_tail()
    assert '"next_after": null' in there.stdout
    assert there.stdout.splitlines()[-1].startswith("http://127.0.0.1:")
    gone = in_a_shell(directory, "true")
    assert (gone.stdout, gone.stderr.splitlines()) == (
        "",
        [f"Error: nothing is up in {directory}: run `make up` in another terminal"],
    )
    assert (ready.status_code, flower.status_code, curl_status) == (200, 200, 0)
    assert '"ErrorCode":200' in sent
    assert len(children) >= 6
    assert alive(children) == []


def test_up_says_which_process_died_and_stops_the_others(directory: Path) -> None:
    with up(directory, "--no-flower") as process:
        children = descendants_of(psutil.Process(process.pid))
        children = descendants_of(psutil.Process(process.pid))
        worker = next(child for child in children if "worker.app" in child.cmdline())

        worker.kill()

        assert process.wait(timeout_seconds=120) == 1
        assert "worker.1 ended with status -9" in process.log_tail(lines=100)
    assert alive(children) == []


def test_nothing_outlives_a_killed_supervisor_and_the_next_one_starts_on_its_data_and_ends_on_sigterm(
    directory: Path,
) -> None:
    with up(directory, "--no-flower") as process:
        children = descendants_of(psutil.Process(process.pid))
        psutil.Process(process.pid).kill()
        process.wait(timeout_seconds=120)
        wait_until(lambda: alive(children) == [], what="all its processes are gone", timeout_seconds=120)
    assert "the last run was killed" in in_a_shell(directory, "true").stderr

    with up(directory, "--no-flower") as process:
        more_children = descendants_of(psutil.Process(process.pid))
        psutil.Process(process.pid).terminate()

        assert process.wait(timeout_seconds=120) == 0
    assert len(children) >= 5
    assert alive(more_children) == []


def test_a_procfile_that_lacks_a_process_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: true\nrelease: true\nflower: true\n")

    with pytest.raises(ProcfileIncomplete, match="lacks worker"):
        read_procfile(tmp_path)
