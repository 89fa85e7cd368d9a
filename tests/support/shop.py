"""A partner service in a hurry: what it puts onto the queue, right but for one thing (docs/partners.md)."""

import itertools
import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import redis
from celery import Celery

from cashback_client.contract import QUEUE, SettleMessage, celery_options, event_id_of
from cashback_client.envelope import envelope
from tests.support.betcore import cashback, signer

LEFT_OUT: Final = object()
"""Stands for a member that is not there."""
EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_CELERYS_DATABASE: Final = 7


@dataclass(frozen=True)
class Sent:
    """What was put on lists, in this order, and the events that it is about."""

    entries: list[tuple[str, bytes]]
    events: frozenset[UUID] = frozenset()


@dataclass
class Shop:
    """Makes messages, each with a token of its own. `redis_url`: a server for what Celery itself writes."""

    redis_url: str
    cashback_ids: Iterator[int] = field(default_factory=lambda: itertools.count(500_000))

    def token(self, *, key: int = 1, seconds_ago: float = 0, **claims: object) -> str:
        """Return a token that was signed so long ago."""
        data = cashback(next(self.cashback_ids))
        return signer(key).token(at=time.time() - seconds_ago, data=data, **claims)

    def message(self, token: str | None = None, *, ahead_seconds: float = 0) -> dict[str, Any]:
        """Return the arguments of a good message, received just now, or so far ahead of it."""
        at_ms = int((time.time() + ahead_seconds) * 1000)
        return SettleMessage(token=token or self.token(), received_at_ms=at_ms).model_dump()

    def arguments(self, **changes: object) -> Sent:
        """Send a message with these arguments changed."""
        return self.body([[], given(self.message() | changes), EMBED])

    def body(self, body: object, token: str | None = None, **envelope: Any) -> Sent:  # noqa: ANN401 - members
        """Send this body, JSON or bytes; `token` is the one in it."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kwargs = body[1] if isinstance(body, list) and len(body) > 1 else {}
        found = token or (kwargs.get("token") if isinstance(kwargs, dict) else None)
        sent = self.envelope(body=b64encode(content).decode(), **envelope)
        return Sent(sent.entries, frozenset([event_id_of(found)]) if isinstance(found, str) else frozenset())

    def envelope(
        self,
        *,
        token: str | None = None,
        headers: Mapping[str, object] | None = None,
        properties: Mapping[str, object] | None = None,
        queue: str = QUEUE,
        **members: object,
    ) -> Sent:
        """Send a good message in an envelope with these parts of it changed."""
        good = SettleMessage(**self.message(token))
        made = envelope(good, summary="", origin="shop", delivery_tag=str(next(self.cashback_ids)))
        made["headers"] = given(made["headers"] | dict(headers or {}))
        made["properties"] = given(made["properties"] | dict(properties or {}))
        entry = json.dumps(given(made | members)).encode()
        return Sent([(queue, entry)], frozenset([good.event_id]))

    def by_celery(self, send: Callable[[Celery, dict[str, Any], dict[str, Any]], object]) -> Sent:
        """Send what Celery itself writes: `send` is given an app, a good message and its options."""
        message = SettleMessage(**self.message())
        options = celery_options(message, {})
        url = f"{self.redis_url.rsplit('/', 1)[0]}/{_CELERYS_DATABASE}"
        app = Celery("shop", broker=url, set_as_current=False)
        with redis.Redis.from_url(url) as client:
            client.flushdb()
            send(app, message.model_dump(), options)
            app.close()
            names: Any = client.keys("*")
            lists = [name for name in names if client.type(name) == b"list"]
            entries = [(name.decode(), bytes(raw)) for name in lists for raw in client.lrange(name, 0, -1)]
            client.flushdb()
        assert entries
        return Sent(entries, frozenset([message.event_id]))


def all_of(*sent: Sent) -> Sent:
    """Return it as one."""
    entries = [entry for each in sent for entry in each.entries]
    return Sent(entries, frozenset().union(*(each.events for each in sent)))


def raw(entry: bytes | str, queue: str = QUEUE) -> Sent:
    """Send these bytes."""
    return Sent([(queue, entry.encode() if isinstance(entry, str) else entry)])


def given(members: Mapping[str, object]) -> dict[str, object]:
    """Return the members that are not left out."""
    return {name: value for name, value in members.items() if value is not LEFT_OUT}


ANSWERED: Final = "answered"
EXPIRED: Final = "expired"
NAMED: Final = "named"


@dataclass(frozen=True)
class Slip:
    """One row of docs/partners.md: what was sent, what becomes of it, and what its sender is to do.

    `end`: ANSWERED, EXPIRED, NAMED, or else the reason of the quarantine, whose detail holds `words`.
    """

    what: str
    send: Callable[[Shop], Sent]
    end: str
    words: str = ""
    to_do: str = "nothing"

    def row(self) -> str:
        """Return its row of the table."""
        ends = {
            ANSWERED: "settled and answered",
            EXPIRED: "on record as expired: nothing is credited, and BETCORE's 30 s are over",
            NAMED: f'stays there, and is named: `cashback_unread_entries{{list="{self.words}"}}`',
        }
        end = ends.get(self.end) or f"quarantine, `{self.end}`: {self.words}"
        return f"| {self.what} | {end} | {self.to_do} |"
