"""CI runs the script that everybody runs, and what GitHub reads of this repository is valid."""

import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from deploy.local.environment import ROOT

GITHUB = ROOT / ".github"
WORKFLOW = GITHUB / "workflows" / "ci.yml"


@pytest.fixture
def job() -> dict[str, Any]:
    ((_, job),) = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"].items()
    return dict(job)


@pytest.mark.parametrize(
    ("schema", "name"),
    [("github-workflows", "workflows/ci.yml"), ("github-issue-config", "ISSUE_TEMPLATE/config.yml")],
)
def test_the_files_are_valid_by_their_published_schemas(schema: str, name: str) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", GITHUB / name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_workflow_runs_the_script_of_this_repository(job: dict[str, Any]) -> None:
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    assert (ROOT / ".ci" / "run").is_file()


def test_the_workflow_runs_on_versions_that_the_project_supports(job: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    versions = job["strategy"]["matrix"]["python"]
    assert len(versions) > 1
    assert list(SpecifierSet(project["requires-python"]).filter(versions)) == versions


def test_workflows_take_actions_by_commit_and_say_which_version_that_is() -> None:
    workflows = [path.read_text("utf-8") for path in (GITHUB / "workflows").iterdir()]
    taken = re.findall(r"uses: *(\S.*)", "\n".join(workflows))

    assert taken
    assert [line for line in taken if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*", line)] == []


def test_the_workflow_may_only_read() -> None:
    assert yaml.safe_load(WORKFLOW.read_text("utf-8"))["permissions"] == {"contents": "read"}
