"""Runs the operator's command as an operator does, as a process of its own; or within this one."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from deploy.local.environment import ROOT
from tests.support.output_schemas import assert_fits, name_of
from worker.cli import cashback


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run of the command ended."""

    exit_code: int
    stdout: str
    stderr: str
    schema: str | None = None

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        """What `--json` printed, of a run in which nothing else was printed and nothing went wrong.

        It fits the schema that is published for the command.
        """
        assert (self.exit_code, self.stderr) == (0, "")
        document = json.loads(self.stdout)
        if self.schema is not None:
            assert_fits(self.schema, document)
        return document


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of this process with these settings of ours and no other ones."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("CASHBACK_")}
    return others | {f"CASHBACK_{name.upper()}": value for name, value in settings.items()}


def start(*arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    """Start `cashback` with these arguments and settings, with pipes for its input and output."""
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", *arguments],
        cwd=ROOT,
        env=environment(**settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes], *, stdin: bytes = b"", timeout_seconds: float = 240) -> Finished:
    """Give a started command the rest of its input and wait for its end."""
    stdout, stderr = process.communicate(stdin, timeout=timeout_seconds)
    return Finished(process.returncode, stdout.decode(), stderr.decode(), _schema_of(process.args))


def run_here(*arguments: str, columns: int | None = None, **settings: str) -> Finished:
    """Run `cashback` within this process, which takes a tenth of the time; it prints `columns` wide."""
    names: dict[str, str | None] = {name: None for name in os.environ if name.startswith("CASHBACK_")}
    names |= {f"CASHBACK_{name.upper()}": value for name, value in settings.items()}
    names["COLUMNS"] = None if columns is None else str(columns)
    done = CliRunner().invoke(cashback, arguments, env=names, prog_name="cashback")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Finished(done.exit_code, done.stdout, done.stderr, name_of(arguments))


def _schema_of(arguments: object) -> str | None:
    return name_of([str(each) for each in arguments][3:]) if isinstance(arguments, list) else None


def run(*arguments: str, stdin: bytes = b"", **settings: str) -> Finished:
    """Run `cashback` to its end."""
    with start(*arguments, **settings) as process:
        return finish(process, stdin=stdin)
