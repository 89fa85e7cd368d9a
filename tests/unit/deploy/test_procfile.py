"""The Procfile: what runs, and that its commands are ones that the programs understand."""

import shlex

import pytest
from honcho.environ import parse_procfile

from deploy.local.environment import ROOT


@pytest.fixture
def commands() -> dict[str, str]:
    return dict(parse_procfile((ROOT / "Procfile").read_text("utf-8")).processes)


def test_the_procfile_has_exactly_the_four_processes(commands: dict[str, str]) -> None:
    assert list(commands) == ["release", "web", "worker", "flower"]


@pytest.mark.parametrize("process", ["web", "worker", "flower"])
def test_a_shell_hands_over_to_the_program_so_that_signals_reach_it(
    commands: dict[str, str], process: str
) -> None:
    assert shlex.split(commands[process])[0] == "exec"


def test_the_web_command_runs_the_receiver_on_the_port_that_it_is_given(commands: dict[str, str]) -> None:
    assert shlex.split(commands["web"])[1:] == ["python", "-m", "producer", "--port", "$PORT"]


def test_each_worker_process_has_a_name_of_its_own(commands: dict[str, str]) -> None:
    """The shell puts its process id for `$$`, and Celery the host's name for `%h`."""
    words = shlex.split(commands["worker"])

    assert words[words.index("--hostname") + 1] == "worker-$$@%h"


def test_the_worker_still_sends_the_heartbeats_that_flower_lives_on(commands: dict[str, str]) -> None:
    assert "--without-heartbeat" not in shlex.split(commands["worker"])


def test_flower_runs_on_an_app_that_knows_nothing_but_the_broker(commands: dict[str, str]) -> None:
    words = shlex.split(commands["flower"])

    assert words[words.index("--app") + 1] == "deploy.monitor"
    assert (ROOT / "deploy/flowerconfig.py").is_file()
    assert "--conf=deploy/flowerconfig.py" in words
