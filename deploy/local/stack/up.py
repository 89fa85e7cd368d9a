"""`python -m deploy.local up`: the stack, until it is told to stop."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click
from pydantic import SecretStr

from deploy.flower_health import watch
from deploy.local import environment
from deploy.local.errors import LocalError
from deploy.local.stack.stack import LOG_DIRECTORY, Stack, StackOptions
from deploy.local.steps import FORESEEN, described
from deploy.monitor import MonitorSettings, create_app

_WATCH_SECONDS: Final = 0.5
_FLOWER_SECONDS: Final = 30.0
# Accounts to try makes with; the import leaves those that exist as they are.
SAMPLE_ACCOUNTS: Final = "user_id,currency,status,balance\n188509,EUR,active,0\n188510,EUR,blocked,0\n"


class Stopped(BaseException):
    """Somebody asked the program to stop. No error, so that nothing takes it for one."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped inside the block on Ctrl-C and SIGTERM, once: the way out is not to be disturbed."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command()
@click.option(
    "--directory", type=click.Path(path_type=Path, file_okay=False), default=Path("var"), show_default=True
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--flower/--no-flower", default=True, show_default=True)
def up(*, directory: Path, workers: int, flower: bool) -> None:
    """Run everything until Ctrl-C, with a simulated BETCORE."""
    options = StackOptions(directory=directory, workers=workers, flower=flower, accounts_csv=SAMPLE_ACCOUNTS)
    try:
        with stopped_by_signals(), Stack(options) as stack:
            click.echo(_welcome(stack))
            _watch(stack)
    except Stopped:
        click.echo("Stopped.")
    except FORESEEN as error:
        fail(error, directory)


def fail(error: Exception, directory: Path) -> NoReturn:
    """Say how a command on `directory` failed and where the logs are, and end with 1."""
    click.echo(f"Error: {described(error)}", err=True)
    logs = directory / LOG_DIRECTORY
    if logs.exists():
        click.echo(f"The log of each process is in {logs}", err=True)
    sys.exit(1)


def _watch(stack: Stack) -> None:
    stopping = threading.Event()
    if stack.options.flower:
        threading.Thread(target=_watch_flower, args=(stack, stopping), name="flower", daemon=True).start()
    try:
        while not stopping.wait(_WATCH_SECONDS):
            for process in stack.dead_processes():
                raise LocalError(
                    f"{process.name} ended with status {process.returncode}:\n{process.log_tail()}"
                )
    finally:
        stopping.set()


def _watch_flower(stack: Stack, stopping: threading.Event) -> None:
    settings = MonitorSettings(
        redis_url=stack.redis_url,
        redis_sentinel_master=stack.environ.get(environment.REDIS_SENTINEL_MASTER) or "mymaster",
        flower_basic_auth=SecretStr(stack.flower_login),
    )
    watch(
        create_app(settings),
        stack.flower_port,
        say=lambda sentence: click.echo(f"Flower: {sentence}", err=True),
        stopping=stopping,
        pause_seconds=_FLOWER_SECONDS,
    )


def _welcome(stack: Stack) -> str:
    order = json.dumps({"cashback_id": 480, "user_id": "188509", "transaction_type": 1, "amount": "10.00"})
    lines = [
        f"Receiver    {stack.receiver_url}/cashback-payments/make",
        f"Simulator   {stack.simulator_url}/sim/log",
        f"Redis       {stack.redis_url}",
        f"PostgreSQL  {stack.database_url}",
        f"Logs        {stack.log_directory}",
        "",
        "Send one make:",
        f"  curl -s {stack.simulator_url}/sim/makes -H 'Content-Type: application/json' -d '{order}'",
        "",
        "Ctrl-C stops everything.",
    ]
    if stack.options.flower:
        lines.insert(1, f"Flower      {stack.flower_url}  (login {stack.flower_login})")
    return "\n".join(lines)
