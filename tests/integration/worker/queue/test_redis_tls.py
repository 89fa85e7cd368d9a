"""Redis over TLS: each process verifies whom it speaks to, before it says a password, and shows who it is."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from celery import Celery
from kombu.utils.functional import retry_over_time

from deploy import monitor
from deploy.local.valkey import ValkeyServer
from producer.copies.redis_client import close_client, redis_client
from producer.shared.settings.environment import load
from producer.shared.settings.receiver import ReceiverSettings
from tests.support import bad_messages
from tests.support.certificates import Authority
from tests.support.sentinel import MASTER, sentinel_of
from tests.support.tls_server import TlsServer, tls_before
from worker import app as worker_app
from worker.cli.shared.broker import open_queues
from worker.settings import WorkerSettings

PASSWORD = "s3cret-of-the-server"
SENTINEL_PASSWORD = "s3cret-of-the-sentinels"


def ask_as_receiver() -> None:
    async def ask() -> None:
        client = redis_client(load(ReceiverSettings), timeout_seconds=30)
        try:
            await client.ping()
        finally:
            await close_client(client)

    asyncio.run(ask())


def ask_as_worker() -> None:
    ask_with(worker_app.create_app(load(WorkerSettings)))


def ask_as_flower() -> None:
    ask_with(monitor.create_app(monitor.settings_or_exit()))


def ask_with(app: Celery) -> None:
    with app.connection_for_read() as connection:
        connection.default_channel.client.ping()


def ask_as_command() -> None:
    with open_queues() as push:
        push(f"nobody-{uuid4().hex}", b"x")


PROCESSES: dict[str, Callable[[], None]] = {
    "receiver": ask_as_receiver,
    "worker": ask_as_worker,
    "flower": ask_as_flower,
    "command": ask_as_command,
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def server(server_directory: Path) -> Iterator[ValkeyServer]:
    """Give a Valkey of these tests' own, as it has a password."""
    server = ValkeyServer(server_directory / "with-password").start()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", PASSWORD)
        yield server
        client.config_set("requirepass", "")
    server.stop()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that sets what is in the environment of each process."""

    def put(**settings: object) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"CASHBACK_{name.upper()}", str(value))

    put(
        database_url="postgresql://db.test/cashback",
        betcore_url="https://betcore.test",
        token_client_id="PartnerClient-1556",
        bearer_token="x",
        flower_basic_auth="lookout:correct-horse",
        redis_sentinel_master=MASTER,
    )
    return put


def soon_given_up(*args: object, **options: object) -> object:
    """Try as kombu does, for a shorter time."""
    return retry_over_time(*args, **(options | {"timeout": 0.5}))


def url_of(tls: TlsServer) -> str:
    return f"rediss://:{PASSWORD}@127.0.0.1:{tls.port}/0"


@pytest.mark.parametrize("process", PROCESSES)
def test_a_server_that_our_authority_vouches_for_is_spoken_to(
    process: str, ours: Authority, server: ValkeyServer, environment: Callable[..., None]
) -> None:
    with tls_before(server.port, ours.server_context(ours.holder("server"))) as tls:
        environment(redis_url=url_of(tls), redis_ca_file=ours.file)
        PROCESSES[process]()
        assert tls.with_tls > 0


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("fault", ["another authority", "another name", "nothing said"])
def test_who_cannot_be_verified_hears_no_password(  # noqa: PLR0913 - most are fixtures
    process: str,
    *,
    fault: str,
    ours: Authority,
    server: ValkeyServer,
    environment: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # kombu asks again for 4 s, with pauses that make it 6, and is told the same each time.
    monkeypatch.setattr("kombu.utils.functional.sleep", lambda _seconds: None)
    monkeypatch.setattr("kombu.connection.retry_over_time", soon_given_up)
    signer = Authority(tmp_path, "theirs") if fault == "another authority" else ours
    address = "127.0.0.2" if fault == "another name" else "127.0.0.1"
    with tls_before(server.port, signer.server_context(signer.holder("they", address=address))) as tls:
        environment(redis_url=url_of(tls))
        if fault != "nothing said":
            environment(redis_ca_file=ours.file)

        with pytest.raises(Exception, match="certificate verify failed"):
            PROCESSES[process]()
        # In the middle of the handshake the client left.
        assert tls.with_tls == 0


@pytest.mark.parametrize("process", PROCESSES)
def test_a_server_that_asks_is_shown_a_certificate(
    process: str, ours: Authority, server: ValkeyServer, environment: Callable[..., None]
) -> None:
    client = ours.holder("client", address=None)
    context = ours.server_context(ours.holder("server"), asks_clients=True)
    with tls_before(server.port, context) as tls:
        environment(
            redis_url=url_of(tls),
            redis_ca_file=ours.file,
            redis_cert_file=client.certificate,
            redis_key_file=client.key,
        )
        PROCESSES[process]()


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("with_tls", [False, True])
def test_sentinels_have_a_password_of_their_own(  # noqa: PLR0913 - most are fixtures
    process: str,
    *,
    with_tls: bool,
    ours: Authority,
    server: ValkeyServer,
    environment: Callable[..., None],
    tmp_path: Path,
) -> None:
    context = ours.server_context(ours.holder("server"))
    options = {"down-after-milliseconds": 60_000}
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(tls_before(server.port, context))
        sentinel = stack.enter_context(
            sentinel_of(primary, tmp_path, options=options, password=SENTINEL_PASSWORD)
        )
        before_sentinel = stack.enter_context(tls_before(sentinel, context))
        scheme = "sentinels" if with_tls else "sentinel"
        environment(
            redis_url=f"{scheme}://:{PASSWORD}@127.0.0.1:{before_sentinel.port}/0",
            redis_sentinel_password=SENTINEL_PASSWORD,
        )
        if with_tls:
            environment(redis_ca_file=ours.file)

        PROCESSES[process]()

        assert (before_sentinel.with_tls > 0, primary.with_tls > 0) == (with_tls, with_tls)


def test_a_worker_settles_through_sentinels_over_tls(
    redis_url: str, valkey_server: ValkeyServer, database_url: str, tmp_path: Path, ours: Authority
) -> None:
    client = ours.holder("worker", address=None)
    context = ours.server_context(ours.holder("server"), asks_clients=True)
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(bad_messages.bench(redis_url, database_url, tmp_path))
        primary = stack.enter_context(tls_before(valkey_server.port, context))
        sentinel = stack.enter_context(sentinel_of(primary, tmp_path, password=SENTINEL_PASSWORD))
        before_sentinel = stack.enter_context(tls_before(sentinel, context))
        bench.start_worker(
            redis_url=f"sentinels://127.0.0.1:{before_sentinel.port}/0",
            redis_sentinel_master=MASTER,
            redis_sentinel_password=SENTINEL_PASSWORD,
            redis_ca_file=str(ours.file),
            redis_cert_file=str(client.certificate),
            redis_key_file=str(client.key),
        )
        bench.credit(481)
        bench.wait_until_idle()
        assert primary.with_tls > 0
