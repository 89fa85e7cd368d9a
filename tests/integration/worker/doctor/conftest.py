"""Runs `cashback doctor` in this process, with the settings of the test and no other ones."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.output_schemas import assert_fits
from worker.cli import cashback


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a run told."""

    exit_code: int
    document: dict[str, Any]
    text: str

    def names(self, verdict: str) -> set[str]:
        """Return the names of what has this verdict."""
        return {each["name"] for each in self.document["findings"] if each["verdict"] == verdict}

    def of(self, name: str) -> dict[str, Any]:
        """Return the finding of this name, of which there is one."""
        [found] = [each for each in self.document["findings"] if each["name"] == name]
        return dict(found)


Doctor = Callable[..., Diagnosis]


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> Doctor:
    for name in [name for name in os.environ if name.startswith("CASHBACK_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str, **settings: str) -> Diagnosis:
        # Time enough on a slow machine; what hangs has a test of its own.
        given = arguments if "--timeout" in arguments else (*arguments, "--timeout", "25")
        environment = {f"CASHBACK_{name.upper()}": value for name, value in settings.items()}
        result = CliRunner().invoke(cashback, ["doctor", *given, "--json"], env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        document = json.loads(result.stdout)
        assert_fits("doctor", document)
        return Diagnosis(result.exit_code, document, result.stdout)

    return run
