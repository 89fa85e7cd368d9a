"""`python -m deploy.local up`: the stack, until it is told to stop."""

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import click
from pydantic import SecretStr

from deploy.flower_health import watch
from deploy.local import environment
from deploy.local.environment import shell_environment
from deploy.local.errors import LocalError
from deploy.local.stack.options import StackOptions
from deploy.local.stack.ports import FIRST_PORT
from deploy.local.stack.record import recorded
from deploy.local.stack.stack import LOG_DIRECTORY, Stack
from deploy.local.steps import FORESEEN, described
from deploy.monitor import MonitorSettings, create_app

_WATCH_SECONDS: Final = 0.5
_FLOWER_SECONDS: Final = 30.0
# What an operator replays is late, and to be tried out all the same.
_ACCEPT_LIMIT_SECONDS: Final = 86_400
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
@click.option(
    "--first-port",
    type=click.IntRange(1_024, 65_000),
    default=FIRST_PORT,
    show_default=True,
    help="The receiver's; simulator, Flower, Valkey and PostgreSQL follow. One that is taken is replaced.",
)
def up(*, directory: Path, workers: int, flower: bool, first_port: int) -> None:
    """Run everything until Ctrl-C, with a simulated BETCORE."""
    options = StackOptions(
        directory=directory,
        workers=workers,
        flower=flower,
        accounts_csv=SAMPLE_ACCOUNTS,
        simulator_arguments=("--accept-limit-seconds", str(_ACCEPT_LIMIT_SECONDS)),
        first_port=first_port,
    )
    try:
        with stopped_by_signals(), Stack(options) as stack, _recorded(stack):
            click.echo(_welcome(stack))
            _watch(stack)
    except Stopped:
        click.echo("Stopped.")
    except FORESEEN as error:
        fail(error, directory)


def _recorded(stack: Stack) -> AbstractContextManager[None]:
    variables = shell_environment(stack.environ) | {environment.SIMULATOR_URL: stack.simulator_url}
    before = stack.options.environ
    made = tuple(sorted(name for name, value in variables.items() if before.get(name) != value))
    commands = Path(sys.executable).parent
    return recorded(stack.directory, commands=commands, variables=variables, made=made)


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
        *_moved(stack),
        "In another terminal:",
        f'  eval "$({_env_command(stack)})"',
        "  cashback trigger payout",
        "",
        "Or send one make by hand:",
        f"  curl -s {stack.simulator_url}/sim/makes -H 'Content-Type: application/json' -d '{order}'",
        "",
        "Ctrl-C stops everything.",
    ]
    if stack.options.flower:
        lines.insert(1, f"Flower      {stack.flower_url}  (login {stack.flower_login})")
    return "\n".join(lines)


def _moved(stack: Stack) -> list[str]:
    ran = {name.partition(".")[0] for name in stack.processes} | {"receiver"}
    moved = [port.instead for name, port in stack.ports.items() if port.instead and name in ran]
    return [*moved, ""] if moved else []


def _env_command(stack: Stack) -> str:
    if stack.directory == (environment.ROOT / "var"):
        return "make env"
    return f"{sys.executable} -m deploy.local env --directory {stack.directory}"
