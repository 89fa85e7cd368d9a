"""The textbook worker as a contender: books in a database of its own, its queue filled by Celery."""

import base64
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from deploy.local.processes import ManagedProcess
from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.peers import textbook_app
from tests.benchmarks.peers.contender import Progress, wait_for
from tests.benchmarks.peers.engines import Setting
from tests.benchmarks.peers.environment import CONCURRENCY
from tests.benchmarks.peers.ours import accepts, run_step, start_celery
from tests.benchmarks.rig import Rig
from tests.benchmarks.tokens import USERS

DATABASE: Final = "bench_textbook"
_PEERS: Final = "tests.benchmarks.peers"
_TEMPLATE: Final = "bench_textbook_empty"
_BOOKS: Final = """
    SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM payments WHERE accepted_at IS NOT NULL),
        (SELECT count(*) FROM entries), (SELECT coalesce(sum(amount), 0) FROM entries)
"""
# The first is what was best where this was written, and what a quick run takes.
SETTINGS: Final = (
    Setting(concurrency=2, mode="prefork"),
    Setting(concurrency=4, mode="prefork"),
    Setting(concurrency=8, mode="threads"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Textbook:
    """See textbook.py. The setting's mode is the pool of Celery's worker."""

    setting: Setting

    @property
    def name(self) -> str:
        """Its name with the setting."""
        return f"textbook ({self.setting.mode}, {self.setting.concurrency} at once)"

    def at(self, setting: Setting) -> Self:
        """Return the same peer with another setting."""
        return replace(self, setting=setting)

    def reset(self, rig: Rig) -> None:
        """Empty all, its own books too."""
        rig.reset()
        _make_template(rig)
        rig.copy_database(_TEMPLATE, DATABASE)

    def start(self, rig: Rig, *, processes: int) -> list[ManagedProcess]:
        """Start `celery worker` with its task events on, and otherwise as it comes."""
        pool = f"--pool {self.setting.mode} --concurrency {self.setting.concurrency}"
        command = f"exec celery --app {_PEERS}.textbook worker -E --hostname worker-$$@%h {pool}"
        argv = ["/bin/sh", "-c", command]
        return start_celery(rig, argv, self._environment(rig), name="textbook", processes=processes)

    def fill(self, rig: Rig, tokens: Sequence[str], *, first_cashback_id: int) -> None:  # noqa: ARG002 - the protocol's
        """Send what its receiver sends: the data of the verified token."""
        app = textbook_app.new_app(rig.redis_url)
        with app.producer_pool.acquire(block=True) as producer:
            for token in tokens:
                app.send_task(textbook_app.TASK, args=(_data(token),), producer=producer)
        app.close()

    def progress(self, rig: Rig, cashbacks: range) -> Progress:
        """Count the accepts."""
        return accepts(rig, cashbacks)

    def check(self, rig: Rig, *, events: int) -> None:
        """Look at its books; the last payments may be marked a moment after BETCORE's answer."""
        url = rig.postgres.url_of(DATABASE)
        wait_for(lambda: _books(url)[1] >= events, (), what=f"{events} payments are accepted")
        books = _books(url)
        if books != (events, events, 2 * events, 0):
            raise BenchmarkFailed(f"{events} events and {books} do not go together")

    def _environment(self, rig: Rig) -> dict[str, str]:
        return {
            **rig.environment(),
            "CASHBACK_DATABASE_URL": rig.postgres.url_of(DATABASE),
            "CASHBACK_BEARER_TOKEN": "bench",
            CONCURRENCY: str(self.setting.concurrency),
        }


def _make_template(rig: Rig) -> None:
    with psycopg.connect(rig.postgres.url_of("postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,)).fetchone():
            return
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    argv = [sys.executable, "-m", f"{_PEERS}.textbook_books", rig.postgres.url_of(_TEMPLATE), str(USERS)]
    run_step(argv, rig.environment(), what="the textbook's tables are made")
    with psycopg.connect(rig.postgres.url_of(_TEMPLATE), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _books(url: str) -> tuple[Any, ...]:
    with psycopg.connect(url) as connection:
        return connection.execute(_BOOKS).fetchone() or ()


def _data(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    data: dict[str, Any] = json.loads(claims["data"])
    return data
