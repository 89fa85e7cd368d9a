"""The whole service on this machine, as a partner service meets it, and what became of what it sent."""

import hashlib
import json
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import psycopg
import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE, queue_of
from deploy.local.ports import LOCALHOST
from deploy.local.processes import wait_until
from deploy.local.stack import Stack, StackOptions
from tests.support.held import held
from tests.support.partner_examples import Desk, Example
from worker.queue.transport.held import RETURNED

PARTNER: Final = "edge"
PARTNER_QUEUE: Final = queue_of(PARTNER)
API_KEY: Final = "of-the-edge-in-tests"
# The end of a hang, far above what a slow machine takes.
WAIT_SECONDS: Final = 240.0
# So long that no event of a slow machine is over before it is settled.
_DEADLINE_SECONDS: Final = 240
_LIFETIME_SECONDS: Final = 120


def partner_stack(directory: Path, *, users: list[str]) -> Stack:
    """Return the service, not started, with an account of EUR for each user."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CASHBACK_")}
    accounts = "".join(f"{user},EUR,active,0\n" for user in users)
    return Stack(
        StackOptions(
            directory=directory,
            flower=False,
            accounts_csv=f"user_id,currency,status,balance\n{accounts}",
            simulator_arguments=(
                *("--make-lifetime-seconds", str(_LIFETIME_SECONDS)),
                *("--accept-limit-seconds", str(_DEADLINE_SECONDS)),
            ),
            environ=environ
            | {
                "CASHBACK_DEADLINE_SECONDS": str(_DEADLINE_SECONDS),
                "CASHBACK_PARTNERS": PARTNER,
                "CASHBACK_PARTNER_KEYS": f"{PARTNER} {hashlib.sha256(API_KEY.encode()).hexdigest()}",
            },
        )
    )


def url_of_partner(stack: Stack) -> str:
    """Make the partner's user of Redis, who may put onto its list and no more; return the URL for it."""
    password = secrets.token_hex(16)
    may = ("resetchannels", f"%W~{PARTNER_QUEUE}", "+ping", "+client|setname", "+client|setinfo", "+lpush")
    with redis.Redis.from_url(stack.redis_url) as operator:
        operator.execute_command("ACL", "SETUSER", PARTNER, "reset", "on", f">{password}", *may)
    assert stack.valkey is not None
    return f"redis://{PARTNER}:{password}@{LOCALHOST}:{stack.valkey.port}/0"


@dataclass(frozen=True, slots=True)
class Ended:
    """How an event stands, and what its cashback and its user came to."""

    state: str
    transactions: int
    balance_minor: int
    accepts: list[tuple[int | None, bool]]


@dataclass(frozen=True, slots=True)
class PartnerBench:
    """A partner's desk, and the service that it sends to; `redis_url` has the partner's login."""

    stack: Stack
    desk: Desk
    redis_url: str

    def run(
        self, example: Example, order: dict[str, object], **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run an example against the service."""
        variables = {
            "SIMULATOR": self.stack.simulator_url,
            "REDIS_URL": self.redis_url,
            "QUEUE": PARTNER_QUEUE,
            "RECEIVER": self.stack.receiver_url,
            "API_KEY": API_KEY,
        }
        return self.desk.run(example, json.dumps(order), **(variables | environ))

    def sent(self, example: Example, order: dict[str, object], **environ: str) -> UUID:
        """Run an example that is to work; returns the event id that it prints."""
        done = self.run(example, order, **environ)
        assert done.returncode == 0, done.stderr
        # Node 18 says of its fetch that it is an experiment.
        assert example.program == "node" or not done.stderr
        return UUID(done.stdout.strip())

    def wait_for(self, event_id: UUID, state: str) -> None:
        """Wait until an event stands so."""
        wait_until(
            lambda: self.rows("SELECT state FROM receipts WHERE event_id = %s", event_id) == [(state,)],
            what=f"the event is {state}",
            timeout_seconds=WAIT_SECONDS,
        )

    def wait_until_idle(self) -> None:
        """Wait until nothing is on the queues or in a worker's hands."""
        with redis.Redis.from_url(self.stack.redis_url) as client:
            wait_until(
                lambda: not client.exists(QUEUE, PARTNER_QUEUE, RETRY_QUEUE, RETURNED) and not held(client),
                what="all is settled",
                timeout_seconds=WAIT_SECONDS,
            )

    def end_of(self, event_id: UUID, *, cashback_id: int, user_id: str) -> Ended:
        """Return how it stands, read past the worker's code."""
        [(state,)] = self.rows("SELECT state FROM receipts WHERE event_id = %s", event_id)
        [(count,)] = self.rows("SELECT count(*) FROM transactions WHERE cashback_id = %s", cashback_id)
        [(balance,)] = self.rows("SELECT balance_minor FROM accounts WHERE user_id = %s", user_id)
        accepts = [
            (accept["error_code"], accept["acknowledged"])
            for accept in self.log()["accepts"]
            if accept["cashback_id"] == cashback_id
        ]
        return Ended(state, count, balance, accepts)

    def make_of(self, cashback_id: int) -> dict[str, Any]:
        """Return what BETCORE has on record of the first token of a cashback."""
        makes = self.log()["makes"]
        return next(dict(make) for make in makes if make["cashback_id"] == cashback_id)

    def log(self) -> Any:  # noqa: ANN401 - JSON
        """Return what the simulated BETCORE has seen."""
        return httpx.get(f"{self.stack.simulator_url}/sim/log", timeout=60, trust_env=False).json()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.stack.database_url) as connection:
            return connection.execute(query.encode(), values).fetchall()
