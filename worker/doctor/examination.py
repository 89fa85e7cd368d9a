"""Runs the checks side by side, each in a thread and a time of its own, whatever hangs."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import httpx
import psycopg

from producer.protocol.reply import ReplyUnreadable
from producer.shared.preconditions import postgres
from producer.shared.settings.environment import SettingsError
from worker.doctor import backlog, betcore, clock, postgresql, processes, queues, redis, schema
from worker.doctor.finding import Finding, NotGiven, fault, of_verdict, unchecked
from worker.recovery.broker import BrokerUnavailable

PARTS: Final = (
    *("redis", "queues", "postgresql", "schema", "clock", "keys", "credentials"),
    *("processes", "receiver", "backlog"),
)
"""All parts, in the order in which they are told."""
RECEIVER_VARIABLE: Final = "CASHBACK_RECEIVER_URL"
# What a check does after the last answer that it waited for.
_SLACK_SECONDS: Final = 1.0
_CORRECT: Final = "correct it: `cashback config check` shows all of them"

Check = Callable[[float], list[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One check of a part; `name` is what is said of it where it does not end."""

    part: str
    name: str
    run: Check


def examinations(*, receiver_url: str | None) -> tuple[Examination, ...]:
    """Return all checks, in the order of their parts."""
    receiver = _no_receiver if receiver_url is None else partial(processes.check_receiver, receiver_url)
    checks: tuple[tuple[str, str, Check], ...] = (
        ("redis", "redis_unreachable", redis.check_server),
        ("queues", "queue_lengths", queues.check_queues),
        ("postgresql", "postgresql_unreachable", postgresql.check_server),
        ("schema", "schema_whole", schema.check_schema),
        ("clock", "clock_postgresql", clock.check_postgresql),
        ("clock", "clock_redis", clock.check_redis),
        ("clock", "clock_betcore", clock.check_betcore),
        ("keys", "keys_unreachable", betcore.check_keys),
        ("credentials", "token_unavailable", betcore.check_credentials),
        ("processes", "processes", processes.check_processes),
        ("receiver", "receiver_unreachable", receiver),
        ("backlog", "backlog", backlog.check_backlog),
        ("backlog", "ledger_rewound", backlog.check_witness),
    )
    return tuple(Examination(part=part, name=name, run=run) for part, name, run in checks)


def examine(
    checks: Sequence[Examination],
    *,
    timeout_seconds: float,
    on_end: Callable[[str], None] = lambda _part: None,
) -> list[Finding]:
    """Run them all and return what each found, in their order; one that hangs is left behind.

    `on_end` hears the part of each check that has ended.
    """
    runs = [_Run(check, timeout_seconds) for check in checks]
    ends_at = time.monotonic() + timeout_seconds + _SLACK_SECONDS
    findings: list[Finding] = []
    for run in runs:
        run.is_done.wait(max(0.0, ends_at - time.monotonic()))
        findings += run.findings if run.is_done.is_set() else [_hangs(run.check, timeout_seconds)]
        on_end(run.check.part)
    return findings


class _Run:
    def __init__(self, check: Examination, timeout_seconds: float) -> None:
        self.check = check
        self.findings: list[Finding] = []
        self.is_done = threading.Event()
        self._timeout_seconds = timeout_seconds
        threading.Thread(target=self._run, name=f"doctor-{check.name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self.findings = self.check.run(self._timeout_seconds)
        except Exception as error:  # noqa: BLE001 - told as a finding
            self.findings = [_failed(self.check, error)]
        finally:
            self.is_done.set()


def _hangs(check: Examination, timeout_seconds: float) -> Finding:
    what = f"no answer within {timeout_seconds:g} s"
    return fault(check.part, check.name, what, "see whether it hangs; --timeout gives it longer")


def _failed(check: Examination, error: Exception) -> Finding:
    if isinstance(error, NotGiven):
        return unchecked(check.part, check.name, str(error))
    if isinstance(error, SettingsError):
        return fault(check.part, "setting_wrong", str(error), _CORRECT)
    if isinstance(error, psycopg.OperationalError | psycopg.errors.InsufficientPrivilege):
        return of_verdict(check.part, postgres.of_error(error))
    if isinstance(error, OSError | BrokerUnavailable):
        mend = "check CASHBACK_REDIS_URL and that it runs"
        return fault(check.part, check.name, f"it cannot be asked: {error}", mend)
    if isinstance(error, httpx.HTTPError | ReplyUnreadable):
        what = f"BETCORE does not answer ({type(error).__name__}: {error})"
        return unchecked(check.part, check.name, what, "see what is said of its keys")
    what = f"the check itself failed ({type(error).__name__}: {error})"
    return fault(check.part, check.name, what, "report it as an error of this program")


def _no_receiver(_timeout_seconds: float) -> list[Finding]:
    raise NotGiven(f"{RECEIVER_VARIABLE} is not set, and --receiver-url is not given")


def receiver_url(given: str | None) -> str | None:
    """Return where the receiver is, by the option or by the environment."""
    return given or os.environ.get(RECEIVER_VARIABLE) or None
