"""Runs the operator's command inside the test's own process: no interpreter has to start for it."""

import json
import os
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner

from tests.support.output_schemas import assert_fits
from worker.cli import cashback
from worker.cli.shared.person import PERSON_VARIABLE


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of the command ended."""

    exit_code: int
    stdout: str
    stderr: str

    def document(self, schema: str) -> Any:  # noqa: ANN401 - JSON
        """Return what `--json` printed, held to its schema, of a run in which nothing went wrong."""
        assert (self.exit_code, self.stderr) == (0, "")
        document = json.loads(self.stdout)
        assert_fits(schema, document)
        return document


def invoke(*arguments: str, person: str = "anna@desk", stdin: str | bytes = b"", **settings: str) -> Ended:
    """Run `cashback` to its end, with these settings of ours and no other ones."""
    others = {name: None for name in os.environ if name.startswith("CASHBACK_")}
    own = {f"CASHBACK_{name.upper()}": value for name, value in settings.items()}
    # The logs of this process are pytest's.
    with patch("worker.cli.shared.database.configure_logs"), patch("producer.shared.logs.configure_logs"):
        result = CliRunner().invoke(
            cashback, arguments, input=stdin, env=others | own | {PERSON_VARIABLE: person}
        )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
