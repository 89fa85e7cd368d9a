"""A run of the whole stack at DEBUG, with recognizable secrets, and what can fail in it."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import redis

from cashback_client.contract import QUEUE, RETRY_QUEUE
from deploy.local.environment import DATABASE_URL, REDIS_URL, ROOT, process_environment, read_procfile
from deploy.local.ports import free_port
from deploy.local.postgres import PostgresServer
from deploy.local.processes import ManagedProcess, running, wait_until
from deploy.local.stack import Stack
from deploy.local.stack.readiness import worker_answers
from tests.support import leaks
from tests.support.bad_messages import settle
from tests.support.leaks import Written
from worker.betcore.shared_tokens import cipher_of

WAIT_SECONDS = 240.0
# Long for the machine: no event is to end for its slowness.
DEADLINE_SECONDS = 240
SECRETS = {
    "partner secret": "partner-s3cret-8e1f/+&=%",
    "password of PostgreSQL": "postgres-s3cret-77aa",
    "password of Flower": "flower-s3cret-19d2",
    "guess at Flower": "flower-guess-5cc0",
    "static access token": "static-bearer-s3cret-b0b0",
    "wrong password of Redis": "wrong-redis-s3cret-40d4",
    "password of the sentinels": "sentinel-s3cret-e6e6",
}


COMPLAINTS = ("precondition_fails", "failed", "cannot connect")
TAMPERS = ("signature", "unknown_kid", "expired", "wrong_client", "no_cashback_id", "no_data")


@dataclass
class Run:
    """A stack, its secrets, and what was written so far."""

    stack: Stack
    postgres: PostgresServer
    metrics_port: int
    events: Written
    secrets: dict[str, str]
    written: Written = field(default_factory=dict)

    def look(self, when: str) -> None:
        """Take note of what stands in Redis now, and of the access token that is in use."""
        self.written |= {
            f"{place}, {when}": text for place, text in leaks.redis_values(self.stack.redis_url).items()
        }
        client_id, secret = self.stack.environ["CASHBACK_CLIENT_ID"], SECRETS["partner secret"]
        with redis.Redis.from_url(self.stack.redis_url) as client:
            stored = client.get(f"cashback:bearer:{client_id}")
        if isinstance(stored, bytes):
            token = json.loads(cipher_of(secret, name=client_id).decrypt(stored))["text"]
            self.secrets[f"access token, {when}"] = token

    def look_at_all(self) -> None:
        """Take note of all that stands anywhere while the processes run."""
        self.look("at the end")
        self.written |= leaks.database_rows(self.postgres.url)
        self.written |= leaks.metrics(self.stack, self.metrics_port)
        self.written |= leaks.flower_pages(self.stack)
        self.written |= leaks.command_lines()
        self.written |= self.events

    def make(self, cashback_id: int, **order: object) -> dict[str, Any]:
        """Have BETCORE send a make; return the reply."""
        order = {"cashback_id": cashback_id, "user_id": "7", "amount": "10.00"} | order
        answer: dict[str, Any] = self.simulator("POST", "/sim/makes", json=order)
        return answer

    def answered(self, *cashback_ids: int) -> None:
        """Wait until BETCORE has acknowledged them."""

        def is_there() -> bool:
            done = [accept["cashback_id"] for accept in self.log()["accepts"] if accept["acknowledged"]]
            return set(cashback_ids) <= set(done)

        wait_until(is_there, what=f"{cashback_ids} are answered", timeout_seconds=WAIT_SECONDS)

    def tries(self, cashback_id: int) -> int:
        """Return how many accepts came."""
        return sum(accept["cashback_id"] == cashback_id for accept in self.log()["accepts"])

    def log(self) -> dict[str, Any]:
        """Return what BETCORE has seen."""
        seen: dict[str, Any] = self.simulator("GET", "/sim/log")
        return seen

    def simulator(self, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401 - httpx's own, and JSON
        """Tell BETCORE something."""
        url = self.stack.simulator_url + path
        return httpx.request(method, url, timeout=120, trust_env=False, **request).raise_for_status().json()

    def make_tokens(self) -> list[str]:
        """Return the tokens of makes that are on record."""
        with psycopg.connect(self.postgres.url) as connection:
            return [token for (token,) in connection.execute("SELECT token FROM tokens").fetchall()]

    def seen_by_flower(self, text: str) -> bool:
        """Whether Flower tells of something."""
        return any(text in page for page in leaks.flower_pages(self.stack).values())

    def process(self, name: str, why: str, **environ: str) -> ManagedProcess:
        """Return one more process of the Procfile, in another environment; `why` names its log."""
        assert self.stack.valkey is not None
        usual = process_environment(self.stack.environ, name, users=self.stack.valkey.users, port=free_port())
        return ManagedProcess(
            name=f"{name}-{why}",
            argv=["/bin/sh", "-c", read_procfile(ROOT)[name]],
            log_path=self.stack.log_path(f"{name}-{why}"),
            env=usual | environ,
            cwd=ROOT,
        )


def send_what_is_refused(on: Run) -> None:
    """Send makes that the receiver refuses, and messages that no worker can settle."""
    for number, tamper in enumerate(TAMPERS):
        on.make(100 + number, tamper=tamper)
    token = on.make_tokens()[0]
    head, payload, signature = token.split(".")
    for spoiled_token in (
        f"{head}.{payload}.{signature[::-1]}",
        f"{head}.{payload[:-4]}.{signature}",
        payload,
    ):
        httpx.post(f"{on.stack.receiver_url}/cashback-payments/make", content=json.dumps(spoiled_token))
    two_members = json.dumps({"token": token, "x": 1})
    httpx.post(f"{on.stack.receiver_url}/cashback-payments/make", content=two_members)
    spoiled = {"version": 1, "token": f"{token}x", "received_at_ms": 1}
    odd = [
        settle([[token], {}, None]),
        settle([[], {"token": token}, None], headers={"kwargsrepr": f"{{'token': '{token}'}}", "x": token}),
        settle([[], spoiled, None], headers={"argsrepr": token}),
        settle(headers={"task": token, "id": token}),
        settle(f"[{token}".encode()),
        token.encode(),
    ]
    with redis.Redis.from_url(on.stack.redis_url) as client:
        client.lpush(QUEUE, *odd)
    with psycopg.connect(on.postgres.url, autocommit=True) as connection:
        wait_until(
            lambda: connection.execute("SELECT count(*) FROM quarantine").fetchone() == (len(odd),),
            what="the messages are in quarantine",
            timeout_seconds=WAIT_SECONDS,
        )


def have_betcore_refuse(on: Run) -> None:
    """Have BETCORE reject the access token, and fail while the retry queue is of another type."""
    on.look("before it is rejected")
    on.simulator("POST", "/sim/behaviour", json={"accept": "401"})
    on.make(10)
    wait_until(lambda: on.tries(10) >= 2, what="another token is tried", timeout_seconds=WAIT_SECONDS)
    on.simulator("POST", "/sim/behaviour", json={"accept": "503"})
    with redis.Redis.from_url(on.stack.redis_url) as client:
        client.set(RETRY_QUEUE, "x")
        on.make(11)
        log = on.stack.log_path("worker.1")
        wait_until(
            lambda: "WRONGTYPE" in log.read_text("utf-8"),
            what="the worker is refused",
            timeout_seconds=WAIT_SECONDS,
        )
        client.delete(RETRY_QUEUE)
    on.look("while BETCORE fails")
    on.simulator("POST", "/sim/behaviour", json={"accept": "ok"})
    on.answered(10, 11)
    on.look("when another one is in use")


def take_servers_away(on: Run) -> None:
    """Kill PostgreSQL and Redis and start them again, with makes meanwhile."""
    on.postgres.kill()
    on.make(20)
    on.postgres.start()
    assert on.stack.valkey is not None
    on.stack.valkey.kill()
    on.make(21)
    on.stack.valkey.start()
    on.answered(20, 21)


def start_with_wrong_secrets(on: Run) -> None:
    """Start processes whose logins are refused, or lead nowhere, until they say so."""
    nowhere = f"127.0.0.1:{free_port()}"
    login = f"cashback-worker:{SECRETS['wrong password of Redis']}"
    database_url = on.stack.environ[DATABASE_URL]
    wrong_redis: dict[str, dict[str, str]] = {
        "wrong-password": {REDIS_URL: f"redis://{login}@{on.stack.redis_url.partition('@')[2]}"},
        "no-sentinels": {
            REDIS_URL: f"sentinel://{login}@{nowhere}/0",
            "CASHBACK_REDIS_SENTINEL_PASSWORD": SECRETS["password of the sentinels"],
        },
    }
    wrong_database = {
        "stranger": {DATABASE_URL: database_url.replace("//postgres:", "//stranger:")},
        "unreadable-url": {DATABASE_URL: f"{database_url}?nonsense=1"},
    }
    # Flower first, which takes longest. What they wait for, they wait for together.
    both = wrong_redis | wrong_database
    started = [
        on.process(name, why, **environ)
        for name, wrong in (("flower", wrong_redis), ("worker", both), ("web", both))
        for why, environ in wrong.items()
    ]
    with ThreadPoolExecutor(len(started)) as threads:
        list(threads.map(_run_until_it_complains, started))
    guess = ("lookout", SECRETS["guess at Flower"])
    assert httpx.get(f"{on.stack.flower_url}/workers", auth=guess).status_code == httpx.codes.UNAUTHORIZED


def work_with_a_wrong_access_token(on: Run) -> None:
    """Run a worker whose access token BETCORE rejects; what it cannot answer the other one does."""
    worker = on.process("worker", "wrong-token", CASHBACK_BEARER_TOKEN=SECRETS["static access token"])
    numbers = iter(range(30, 90))
    made: list[int] = []

    def is_rejected() -> bool:
        made.append(next(numbers))
        on.make(made[-1])
        on.answered(*made)
        return any(not accept["authorized"] for accept in on.log()["accepts"][rejected:])

    with running(worker):
        wait_until(
            lambda: worker_answers(on.stack.redis_url, worker.pid),
            what="the worker answers",
            timeout_seconds=WAIT_SECONDS,
            process=worker,
        )
        rejected = len(on.log()["accepts"])
        wait_until(is_rejected, what="its token is rejected", timeout_seconds=WAIT_SECONDS)


def _run_until_it_complains(process: ManagedProcess) -> None:
    def complains() -> bool:
        said = process.log_path.read_text("utf-8").lower() if process.log_path.exists() else ""
        return not process.is_running or any(word in said for word in COMPLAINTS)

    with running(process):
        wait_until(complains, what=f"{process.name} complains", timeout_seconds=WAIT_SECONDS)
