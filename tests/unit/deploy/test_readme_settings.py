"""The settings that README.md promises are those that the programs read."""

import re

from deploy.local.environment import ROOT
from deploy.monitor import MonitorSettings
from deploy.settings_table import settings_table
from producer.shared.settings.receiver import ReceiverSettings
from worker.schema.settings import MigrateSettings
from worker.settings import WorkerSettings

README = ROOT / "README.md"


def test_the_settings_table_of_the_readme_is_the_generated_one() -> None:
    match = re.search(r"<!-- settings -->\n(.*?)<!-- /settings -->", README.read_text("utf-8"), re.DOTALL)

    assert match is not None, "README.md has no settings markers"
    assert match[1].strip() == settings_table(), "paste the output of: python -m deploy.settings_table"


def test_the_settings_table_has_one_described_row_for_every_setting() -> None:
    rows = [line.strip("| ").split(" | ") for line in settings_table().replace(r"\|", "/").splitlines()[2:]]

    processes = (ReceiverSettings, WorkerSettings, MonitorSettings, MigrateSettings)
    names = {name for process in processes for name in process.model_fields}
    assert sorted(row[0] for row in rows) == sorted(f"`CASHBACK_{name.upper()}`" for name in names)
    assert all(len(row) == 4 and all(row) for row in rows)


def test_the_settings_table_says_who_reads_a_setting_and_what_it_is_when_unset() -> None:
    table = settings_table()

    assert "| `CASHBACK_DATABASE_URL` | required | receiver, worker, command | " in table
    assert "| `CASHBACK_DEADLINE_SECONDS` | `30` | receiver, worker | " in table
    assert "| `CASHBACK_CANCEL_TYPES` | `-2,-1` | worker | " in table
    assert "| `CASHBACK_VERIFY_FALLBACK` | `false` | receiver, worker | " in table
    assert "| `CASHBACK_MAX_IN_FLIGHT` | `1000` | receiver | " in table
    assert "| `CASHBACK_REDIS_URL` | required | receiver, worker, flower, command | " in table
    assert "| `CASHBACK_FLOWER_BASIC_AUTH` | required | flower | " in table
