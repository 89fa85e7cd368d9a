"""A failure says what was being done and what kind it was, even where a library says nothing."""

from pathlib import Path

import httpx
import psycopg
import pytest
from click.testing import CliRunner
from redis.exceptions import TimeoutError as RedisTimeoutError

from deploy.local.__main__ import main
from deploy.local.errors import DirectoryInUse
from deploy.local.steps import StepFailed, described, step


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (psycopg.OperationalError("connection refused\n"), "OperationalError: connection refused"),
        (RedisTimeoutError(), "TimeoutError"),
        (TimeoutError(), "TimeoutError"),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            "ConnectionResetError: [Errno 104] Connection",
        ),
    ],
)
def test_a_step_that_fails_says_what_it_was_and_how_long_it_took(error: Exception, told: str) -> None:
    times = iter([10.0, 70.04])

    with pytest.raises(StepFailed) as raised, step("sending make 17", monotonic=lambda: next(times)):
        raise error

    assert str(raised.value).startswith(f"sending make 17: {told}")
    assert str(raised.value).endswith(", after 60.0 s")
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [DirectoryInUse("another stack runs"), ZeroDivisionError()])
def test_what_speaks_for_itself_and_what_is_a_fault_of_the_program_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, step("sending make 17"):
        raise error

    assert raised.value is error


def test_an_error_without_a_text_is_told_by_its_kind() -> None:
    assert described(httpx.PoolTimeout("")) == "PoolTimeout"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ReadTimeout(""), "ReadTimeout"),
        (PermissionError(13, "Permission denied"), "PermissionError: [Errno 13] Permission denied"),
        (StepFailed("sending make 17: ReadTimeout"), "sending make 17: ReadTimeout"),
    ],
)
@pytest.mark.parametrize(
    ("command", "work"),
    [("demo", "deploy.local.demo.command.run_demo"), ("up", "deploy.local.stack.up.Stack")],
)
def test_a_command_that_fails_says_how_and_where_the_logs_are(  # noqa: PLR0913 -- two kinds of cases
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, command: str, work: str, error: Exception, told: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        (tmp_path / "log").mkdir()
        raise error

    monkeypatch.setattr(work, fail)

    result = CliRunner().invoke(main, [command, "--directory", str(tmp_path)])

    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"Error: {told}",
        f"The log of each process is in {tmp_path / 'log'}",
    ]
