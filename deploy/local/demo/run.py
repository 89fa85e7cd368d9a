"""The run of a demo from an empty directory to its report; the composition root of `deploy.local demo`."""

import asyncio
import fcntl
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg
import redis
from rich.console import Console

from deploy.local.demo.drive import Drive, Driver, Pace
from deploy.local.demo.history import read_history, read_stages
from deploy.local.demo.hops import Places, measure_hops
from deploy.local.demo.lateness import with_lateness
from deploy.local.demo.planning.plan import Plan
from deploy.local.demo.planning.planner import draw_plan
from deploy.local.demo.progress import ProgressView
from deploy.local.demo.report import build_report, examine, print_report
from deploy.local.environment import CLIENT_ID
from deploy.local.errors import DirectoryInUse, LocalError, ProcessDied
from deploy.local.simulator.settings import DEFAULT_CLIENT_ID, DEFAULT_ISSUER
from deploy.local.stack import Stack, StackOptions
from deploy.local.steps import step
from producer.shared.settings.environment import ENV_PREFIX

DEFAULT_SEED: Final = 1
DEFAULT_DIRECTORY: Final = Path("var/demo")
REPORT_NAME: Final = "report.json"
_DEADLINE: Final = f"{ENV_PREFIX}DEADLINE_SECONDS"
_RESERVE: Final = f"{ENV_PREFIX}ANSWER_RESERVE_SECONDS"
_DEFAULT_SECONDS: Final = {_DEADLINE: 30.0, _RESERVE: 5.0}
# Of the time to the credit cut-off: about as long as a make can wait and still be credited.
_LONGEST_WAIT_SHARE: Final = 0.9
# The slowest answers of BETCORE that still count as good take some seconds of retries.
MIN_DEADLINE_SECONDS: Final = 6.0
_SPREAD_SECONDS: Final = 20.0
# As many as a worker settles at once.
_OPEN_EVENTS: Final = 16
# Ends of a hang, far above what a slow machine takes; the first comes on top of the deadline.
_PATIENCE_SECONDS: Final = 240.0
_MAKE_TIMEOUT_SECONDS: Final = 60.0
_SEND_TIMEOUT_SECONDS: Final = 180.0
# The simulator answers every accept and counts none as late: the checks do, by what is certain.
_ACCEPT_LIMIT_SECONDS: Final = 3_600.0
# The longest that is taken by default: a token that is sent again lives until then on a slow machine, too.
_MAKE_LIFETIME_SECONDS: Final = 300.0
# Of the receiver's settings the greatest.
_INNER_TIMEOUT_SECONDS: Final = 30.0
_PACKAGES: Final = ("celery", "kombu", "redis", "psycopg", "httpx", "starlette", "uvicorn", "flower")
_DATA: Final = ("postgres", "valkey", "log")


class DeadlineUnusable(LocalError):
    """The demo's makes cannot come to what is planned within this deadline."""

    reason = "deadline_unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What a demo is to run. `environ` is the caller's environment; see `demo_environment`."""

    environ: Mapping[str, str]
    directory: Path = DEFAULT_DIRECTORY
    seed: int = DEFAULT_SEED
    workers: int = 1


def run_demo(
    options: DemoOptions, *, console: Console, monotonic: Callable[[], float] = time.monotonic
) -> bool:
    """Run the demo, print its table, write `report.json`, and return whether every invariant holds.

    Raises LocalError where the stack cannot be run, or where a part of it goes away.
    """
    begun = monotonic()
    plan = draw_plan(options.seed)
    stack_options = _stack_options(options, plan)
    clear_directory(options.directory)
    console.print(f"Starting the stack in {options.directory}")
    with Stack(stack_options) as stack:
        drive = _drive(stack, plan, console)
        for line in drive.missing:
            console.print(f"Waited in vain: {line}", soft_wrap=True)
        with step("reading receipts and ledger"):
            history = read_history(drive.log, stack.database_url)
        with step("measuring the bare hops"):
            hops_ms = measure_hops(_places(stack))
        with step("asking the servers for their versions"):
            versions = _versions(stack)
    history = with_lateness(history, limit_seconds=_deadline_seconds(stack.environ))
    findings = examine(plan, drive.sent, history)
    report = build_report(
        plan=plan,
        sent=drive.sent,
        history=history,
        findings=findings,
        hops_ms=hops_ms,
        seconds=monotonic() - begun,
        versions=versions,
    )
    path = options.directory / REPORT_NAME
    path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print_report(console, report, findings, path=str(path))
    return findings.all_hold


def clear_directory(directory: Path) -> None:
    """Remove what the last demo left there; raises DirectoryInUse while another one runs."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(
                f"another stack runs in {directory}: end it first, or name another --directory"
            ) from None
        (directory / REPORT_NAME).unlink(missing_ok=True)
        for name in _DATA:
            path = directory / name
            if path.exists():
                shutil.rmtree(path)


def demo_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the caller's settings, but for the times.

    The demo knows what each make comes to under the default settings, and it must never touch a database or a
    Redis that is somebody's.
    """
    own = {name: value for name, value in environ.items() if not name.startswith(ENV_PREFIX)}
    times = {name: environ[name] for name in (_DEADLINE, _RESERVE) if environ.get(name)}
    checked = {f"{ENV_PREFIX}TOKEN_ISSUER": DEFAULT_ISSUER}
    # Load shedding is not what the plan is about: on a slow machine it would refuse planned makes.
    cutoff_seconds = _seconds(times, _DEADLINE) - _seconds(times, _RESERVE)
    no_shedding = {f"{ENV_PREFIX}SHED_WAIT_SECONDS": f"{_LONGEST_WAIT_SHARE * cutoff_seconds:g}"}
    return {**own, **times, **checked, **no_shedding, CLIENT_ID: DEFAULT_CLIENT_ID}


def _stack_options(options: DemoOptions, plan: Plan) -> StackOptions:
    environ = demo_environment(options.environ)
    # How long the receiver waits for its copies and its keys is not what the plan is about either.
    inner_seconds = min(_INNER_TIMEOUT_SECONDS, _deadline_seconds(environ) / 2)
    timeouts = {f"{ENV_PREFIX}{name}_TIMEOUT_SECONDS": f"{inner_seconds:g}" for name in ("COPY", "JWKS")}
    simulator = {
        "--accept-limit-seconds": _ACCEPT_LIMIT_SECONDS,
        "--make-lifetime-seconds": _MAKE_LIFETIME_SECONDS,
        "--make-timeout-seconds": _MAKE_TIMEOUT_SECONDS,
    }
    return StackOptions(
        directory=options.directory,
        workers=options.workers,
        accounts_csv=plan.accounts_csv(),
        simulator_arguments=tuple(str(part) for option in simulator.items() for part in option),
        environ={**environ, **timeouts},
    )


def _deadline_seconds(environ: Mapping[str, str]) -> float:
    seconds = _seconds(environ, _DEADLINE)
    # Not a number at all (NaN) is less than nothing and not more, so it is refused here, too.
    if not seconds >= MIN_DEADLINE_SECONDS:
        raise DeadlineUnusable(
            f"{_DEADLINE} must be at least {MIN_DEADLINE_SECONDS:g} for the demo: {seconds:g}"
        )
    return seconds


def _seconds(environ: Mapping[str, str], name: str) -> float:
    text = environ.get(name, str(_DEFAULT_SECONDS[name]))
    try:
        return float(text)
    except ValueError:
        raise DeadlineUnusable(f"{name} is not a number: {text}") from None


def _drive(stack: Stack, plan: Plan, console: Console) -> Drive:
    def check() -> None:
        for process in stack.dead_processes():
            raise ProcessDied(f"{process.name} ended with status {process.returncode}:\n{process.log_tail()}")

    async def drive(view: ProgressView) -> Drive:
        with step("connecting to the demo's PostgreSQL"):
            connection = await psycopg.AsyncConnection.connect(stack.database_url, autocommit=True)
        async with (
            connection,
            httpx.AsyncClient(
                base_url=stack.simulator_url, timeout=_SEND_TIMEOUT_SECONDS, trust_env=False
            ) as simulator,
        ):
            driver = Driver(
                plan,
                simulator=simulator,
                stages=partial(read_stages, connection),
                pace=Pace(
                    spread_seconds=_SPREAD_SECONDS,
                    open_events=_OPEN_EVENTS,
                    patience_seconds=_deadline_seconds(stack.environ) + _PATIENCE_SECONDS,
                ),
                show=view.show,
                check=check,
            )
            return await driver.run()

    with ProgressView(console, total=len(plan.makes)) as view:
        return asyncio.run(drive(view))


def _places(stack: Stack) -> Places:
    return Places(
        receiver_url=stack.receiver_url,
        simulator_url=stack.simulator_url,
        redis_url=stack.redis_url,
        database_url=stack.database_url,
    )


def _versions(stack: Stack) -> dict[str, str]:
    with redis.Redis.from_url(stack.redis_url) as client:
        server: Any = client.info("server")
    with psycopg.connect(stack.database_url) as connection:
        postgres = connection.info.server_version
    return {
        "python": platform.python_version(),
        "valkey": str(server.get("valkey_version", server.get("redis_version"))),
        "postgresql": f"{postgres // 10_000}.{postgres % 10_000}",
        **{name: metadata.version(name) for name in _PACKAGES},
    }
