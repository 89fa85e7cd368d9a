"""What every worker of these tests is told."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.betcore import CLIENT_ID
from tests.support.roles import as_role
from worker.schema.roles import WORKER


@pytest.fixture
def environment(redis_url: str, database_url: str) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "CASHBACK_REDIS_URL": redis_url,
        "CASHBACK_DATABASE_URL": as_role(database_url, WORKER),
        # Nothing listens there: a worker works while BETCORE is away.
        "CASHBACK_BETCORE_URL": "http://127.0.0.1:1",
        "CASHBACK_BEARER_TOKEN": "static",
        "CASHBACK_TOKEN_CLIENT_ID": CLIENT_ID,
    }
