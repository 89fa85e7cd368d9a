"""Composition root of the receiver; `python -m producer` serves what it builds."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.types import ASGIApp

from cashback_client.contract import OWN_PRODUCER
from producer.copies.primary import PrimaryWatch
from producer.copies.publisher import Publisher
from producer.copies.receipts.late import MAX_AT_ONCE as LATE_AT_ONCE
from producer.copies.receipts.recording import Receipts
from producer.copies.redis_client import check_redis, redis_client
from producer.receiver import paths
from producer.receiver.backlog import Backlog
from producer.receiver.events.admission.keys import KeysUnreadable, PartnerKeys
from producer.receiver.events.admission.limits import PartnerLimits
from producer.receiver.events.service import PartnerService
from producer.receiver.events.taking.times import ReceiptTimes
from producer.receiver.handler import Receiver, unix_ms
from producer.receiver.health import Health
from producer.receiver.http.clients import Clients
from producer.receiver.http.failures import FailedVerifications
from producer.receiver.metrics import ReceiverMetrics
from producer.receiver.openapi.operations import route
from producer.receiver.pause import IntakePause
from producer.receiver.routes import routes
from producer.receiver.two_copies import TwoCopies
from producer.receiver.watches import start_watches
from producer.shared.logs import configure_logs, hand_over_logs
from producer.shared.postgres.session import refuse_shared_sessions
from producer.shared.preconditions.checks import Check, Checks
from producer.shared.preconditions.checks_off import ChecksOffNote
from producer.shared.preconditions.postgres import RECORDS, check_postgres
from producer.shared.preconditions.verdict import Unmet
from producer.shared.preconditions.watch import PreconditionWatch
from producer.shared.process import calm_collector
from producer.shared.redis.processes import ProcessRecord, Telling
from producer.shared.settings.checks_off import checks_off
from producer.shared.settings.environment import ENV_PREFIX, SettingsError
from producer.shared.settings.receiver import ReceiverSettings
from producer.shared.wiring import betcore_client, build_keys, build_verifier

MAKE_PATH: Final = paths.MAKE_PATH

EXIT_CANNOT_WORK: Final = 1
EXIT_BAD_SETTINGS: Final = 2
# Copies end by themselves within their timeout; this is added for their clean-up.
_CLOSE_SLACK_SECONDS: Final = 2.0

_log: Final = structlog.get_logger(__name__)


def create_app(settings: ReceiverSettings, on_fatal: Callable[[str], None] | None = None) -> ASGIApp:
    """Build the receiver; where it cannot work say so in one sentence and exit.

    The status is 2 for wrong settings, 1 for servers that are not what it needs. `on_fatal` is told, from
    another thread, why the process that runs is to end; without it that is logged and no more.
    """
    try:
        configure_logs(settings.log_level)
        app = build_app(settings, on_fatal or _go_on)
        preconditions = _preconditions(settings, on_fatal or _go_on)
        refuse_shared_sessions(settings.database_url)
        preconditions.check_start()
    except SettingsError as error:
        last_word(str(error))
        raise SystemExit(EXIT_BAD_SETTINGS) from None
    except Unmet as error:
        last_word(str(error))
        raise SystemExit(EXIT_CANNOT_WORK) from None
    preconditions.start()
    calm_collector()
    return app


def last_word(sentence: str) -> None:
    """Write the sentence that the process ends with."""
    sys.stderr.write(f"cashback receiver: {sentence}\n")
    sys.stderr.flush()


def _preconditions(settings: ReceiverSettings, on_fatal: Callable[[str], None]) -> PreconditionWatch:
    note = ChecksOffNote(settings.database_url, checks_off(settings), process="receiver")
    checks: dict[str, Check] = {
        "Redis": partial(check_redis, settings),
        "PostgreSQL": note.after(partial(check_postgres, settings.database_url, RECORDS)),
    }
    return PreconditionWatch(Checks(checks), on_fatal=on_fatal)


def _go_on(sentence: str) -> None:
    _log.error("receiver_cannot_work", why=sentence)


def build_app(settings: ReceiverSettings, on_fatal: Callable[[str], None] = _go_on) -> ASGIApp:
    """Wire the receiver; nothing connects until the application starts. Raises SettingsError.

    `on_fatal` is told why it cannot do its work any more.
    """
    # uvicorn has set up its handlers before it calls us.
    hand_over_logs("uvicorn", "uvicorn.error")
    metrics = ReceiverMetrics(CollectorRegistry())
    client = betcore_client()
    # What was signed before a rotation concerns only the worker: here retired keys go at once.
    keys = build_keys(settings, client=client, retired_key_seconds=0.0, on_fetch=metrics.key_fetched)
    metrics.watch_keys(lambda: keys.age_seconds)
    # Partners' events have places beside those of makes.
    max_waiting = settings.max_in_flight + settings.partner_events_in_flight
    receipts = Receipts(
        settings.database_url,
        pool_size=settings.receiver_database_pool_size,
        max_waiting=max_waiting + LATE_AT_ONCE,
        timeout_seconds=settings.copy_timeout_seconds,
        cutoff_seconds=settings.credit_cutoff_seconds,
        deadline_seconds=settings.deadline_seconds,
    )
    redis = redis_client(settings, timeout_seconds=settings.copy_timeout_seconds)
    publisher = Publisher(redis, timeout_seconds=settings.copy_timeout_seconds, max_waiting=max_waiting)
    new_backlog = partial(
        Backlog,
        receipts,
        longest_wait_seconds=settings.longest_wait_seconds,
        cutoff_seconds=settings.credit_cutoff_seconds,
        timeout_seconds=settings.copy_timeout_seconds,
        clock=time.time,
    )
    backlog = new_backlog(OWN_PRODUCER)
    primary = PrimaryWatch(redis, timeout_seconds=settings.copy_timeout_seconds)
    telling = Telling(
        client=redis,
        record=ProcessRecord.of("receiver", settings),
        keys_age=lambda: keys.age_seconds,
        timeout_seconds=settings.copy_timeout_seconds,
    )
    metrics.watch_backlog(lambda: backlog.wait_seconds)
    pause = IntakePause(receipts)
    metrics.watch_pause(lambda: pause.until_seconds)
    copies = TwoCopies(
        receipts=receipts,
        messages=publisher,
        metrics=metrics,
        timeout_seconds=settings.copy_timeout_seconds,
        cutoff_seconds=settings.credit_cutoff_seconds,
        now_ms=unix_ms,
    )
    verifier = build_verifier(settings, keys=keys, client=client)
    clients = Clients(
        proxies=settings.trusted_proxies or (),
        header=settings.forwarded_header,
        allowed=settings.allowed_networks,
    )
    failures = FailedVerifications(
        per_second=settings.failed_verifications_per_second, on_delay=metrics.answers_delayed.inc
    )
    # A fetch of the keys, and then the Verify endpoint.
    lookup_timeout_seconds = 2 * settings.jwks_timeout_seconds + 1
    receiver = Receiver(
        verifier=verifier,
        copies=copies,
        backlog=backlog,
        pause=pause,
        metrics=metrics,
        clients=clients,
        failures=failures,
        lookup_timeout_seconds=lookup_timeout_seconds,
        max_in_flight=settings.max_in_flight,
        body_timeout_seconds=settings.request_timeout_seconds,
    )
    partners = None
    if partner_keys := _partner_keys(settings):
        partners = PartnerService(
            keys=partner_keys,
            verifier=verifier,
            copies=copies,
            states=receipts,
            backlog=backlog,
            new_backlog=new_backlog,
            pause=pause,
            registry=metrics.registry,
            clients=clients,
            failures=failures,
            times=ReceiptTimes(
                ahead_ms=int(settings.token_leeway_seconds * 1000),
                deadline_ms=int(settings.deadline_seconds * 1000),
            ),
            limits=PartnerLimits(
                events_per_second=settings.partner_events_per_second,
                requests_at_once=settings.partner_requests_at_once,
                events_in_flight=settings.partner_events_in_flight,
                looks_at_once=max(1, settings.receiver_database_pool_size // 4),
                body_timeout_seconds=settings.request_timeout_seconds,
                lookup_timeout_seconds=lookup_timeout_seconds,
                record_timeout_seconds=settings.copy_timeout_seconds,
            ),
            now_ms=unix_ms,
        )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(client.close)
            stack.push_async_callback(asyncio.to_thread, keys.close)
            stack.push_async_callback(publisher.close)
            stack.push_async_callback(receipts.close)
            stack.push_async_callback(
                receiver.close, timeout_seconds=settings.copy_timeout_seconds + _CLOSE_SLACK_SECONDS
            )
            keys.start()
            await receipts.open()
            # Before the first make: one that begins in a pause is paused.
            await pause.look()
            stack.push_async_callback(telling.farewell)
            watches = {
                "backlog": backlog.watch(),
                "primary": primary.watch(),
                "pause": pause.watch(),
                "process": telling.watch(),
            }
            if partners is not None:
                stack.callback(partners.close)
                watches |= partners.watches()
            start_watches(watches, until=stack, on_fatal=on_fatal)
            yield

    health = Health(
        keys=keys,
        verify_fallback=settings.verify_fallback,
        receipts=receipts,
        publisher=publisher,
        copies=copies,
        pause=pause,
    )
    return routes(
        route("make", receiver),
        health,
        metrics,
        partners=[] if partners is None else partners.routes(),
        lifespan=lifespan,
        inner_port=settings.inner_port,
    )


def _partner_keys(settings: ReceiverSettings) -> PartnerKeys | None:
    path = settings.partner_keys_file
    if not settings.has_partners:
        return None
    try:
        return PartnerKeys(
            text=settings.partner_keys, path=Path(path) if path else None, partners=settings.partners
        )
    except KeysUnreadable as error:
        variable = "PARTNER_KEYS_FILE" if path else "PARTNER_KEYS"
        raise SettingsError(f"{ENV_PREFIX}{variable}: {error}") from None
