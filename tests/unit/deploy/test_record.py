"""What is up is on record for as long as it is up, for the user who runs it alone."""

import json
import subprocess
from pathlib import Path

import pytest

from deploy.local.environment import shell_environment
from deploy.local.stack.record import EXPORTS, NothingIsUp, read_record, recorded, without_exports

VARIABLES = {"CASHBACK_DATABASE_URL": "postgresql://a@b/c?d='e f'", "CASHBACK_LOG_LEVEL": "DEBUG"}
COMMANDS = Path("/opt/cash back/bin")


def evaluated(lines: str, *, then: str) -> str:
    result = subprocess.run(
        ["/bin/sh", "-c", f"{lines}\n{lines}\n{then}"],
        env={"PATH": "/usr/bin:/bin", "CASHBACK_BEARER_TOKEN": "theirs"},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout


def test_a_shell_gets_the_variables_and_the_commands_once(tmp_path: Path) -> None:
    with recorded(tmp_path, commands=COMMANDS, variables=VARIABLES, made=("CASHBACK_DATABASE_URL",)):
        lines = read_record(tmp_path).shell()

    values = evaluated(
        lines, then='echo "$CASHBACK_DATABASE_URL,$CASHBACK_LOG_LEVEL,$CASHBACK_BEARER_TOKEN,$PATH"'
    )
    assert values == f"{VARIABLES['CASHBACK_DATABASE_URL']},DEBUG,,{COMMANDS}:/usr/bin:/bin\n"


def test_nobody_else_may_read_it_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    path.write_text("of a run that was killed")
    path.chmod(0o644)

    with recorded(tmp_path, commands=COMMANDS, variables=VARIABLES, made=()):
        mode = path.stat().st_mode & 0o777

    assert mode == 0o600
    assert not path.exists()


def test_where_nothing_is_up_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NothingIsUp, match="run `make up`"):
        read_record(tmp_path)


@pytest.mark.parametrize("change", [{"started_at": 1.0}, {"pid": 2**22 + 1}])
def test_the_record_of_a_process_that_is_gone_is_stale(tmp_path: Path, change: dict[str, float]) -> None:
    path = tmp_path / "up.json"
    with recorded(tmp_path, commands=COMMANDS, variables=VARIABLES, made=()):
        path.write_text(json.dumps(json.loads(path.read_text()) | change))

        with pytest.raises(NothingIsUp, match="was killed"):
            read_record(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 1}', "half a rec"])
def test_a_record_that_cannot_be_read_is_no_stack(tmp_path: Path, text: str) -> None:
    (tmp_path / "up.json").write_text(text)

    with pytest.raises(NothingIsUp, match="cannot be read"):
        read_record(tmp_path)


def test_the_next_stack_takes_nothing_from_it_for_the_users_own() -> None:
    environ = {**VARIABLES, EXPORTS: "CASHBACK_DATABASE_URL CASHBACK_REDIS_URL", "PATH": "/bin"}

    assert without_exports(environ) == {"CASHBACK_LOG_LEVEL": "DEBUG", "PATH": "/bin"}
    assert without_exports(VARIABLES) == VARIABLES


def test_the_shell_is_the_operators() -> None:
    stack = {
        "CASHBACK_DATABASE_URL": "postgresql://postgres@one/cashback",
        "CASHBACK_DATABASE_ROLES": "shop",
        "CASHBACK_WORKER_ROLE_PASSWORD": "secret",
        "CASHBACK_DEADLINE_SECONDS": "9",
        "HOME": "/root",
    }

    assert shell_environment(stack) == {
        "CASHBACK_DATABASE_URL": "postgresql://shop_operator@one/cashback",
        "CASHBACK_DEADLINE_SECONDS": "9",
    }
