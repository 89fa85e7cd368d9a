"""The kinds of messages that no worker can settle, and the reason that each has in quarantine."""

import json
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cashback_client.contract import TASK_NAME
from tests.support.bad_messages import entry, message, settle, token
from tests.support.betcore import CLIENT_ID, cashback, signer

EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def without(name: str) -> bytes:
    """Return a good entry without one of its members."""
    members = json.loads(settle())
    del members[name]
    return entry(members)


def with_properties(**properties: object) -> bytes:
    """Return a good entry with these properties."""
    made = json.loads(settle())
    return entry(made | {"properties": made["properties"] | properties})


def deep(levels: int) -> str:
    """Return a list in a list in a list."""
    return "[" * levels + "]" * levels


def forged() -> str:
    """Return a token that names BETCORE's key and was signed with another."""
    return replace(signer(2), kid=signer(1).kid).token(at=time.time())


def two_clients() -> str:
    """Return a token that is for another partner, and then for us."""
    now = int(time.time())
    claims = f'"nbf": {now}, "exp": {now + 10}, "data": {json.dumps(json.dumps(cashback()))}'
    clients = f'"client_id": "PartnerClient-9999", "client_id": "{CLIENT_ID}"'
    return signer(1).sign(f"{{{claims}, {clients}}}".encode())


def settle_with(**claims: object) -> bytes:
    """Return an entry that is good but for these claims of its token."""
    made = signer(1).token(at=time.time(), data=cashback(), **claims)
    return settle([[], message(made), EMBED])


BAD: Final[list[tuple[str, str, Callable[[], bytes]]]] = [
    ("unreadable", "no JSON", lambda: b"garbage"),
    ("unreadable", "nothing", lambda: b""),
    ("unreadable", "no text", lambda: b"\xff\x00\xfe"),
    ("unreadable", "a number", lambda: b"5"),
    ("unreadable", "null", lambda: b"null"),
    ("unreadable", "a list", lambda: b'[{"a": 1}]'),
    ("unreadable", "another object", lambda: b'{"token": "eyJhbGciOiJub25lIn0.e30."}'),
    ("unreadable", "no properties", lambda: without("properties")),
    ("unreadable", "no body", lambda: without("body")),
    ("unreadable", "a body that is no text", lambda: settle(replaced={"body": {"a": 1}})),
    ("unreadable", "a body that is no base64", lambda: settle(replaced={"body": "abc"})),
    ("unreadable", "a body encoding that nobody knows", lambda: with_properties(body_encoding="rot13")),
    ("unreadable", "headers in a list", lambda: settle(replaced={"headers": ["task"]})),
    ("unreadable", "too deep to be written again", lambda: settle(headers={"deep": json.loads(deep(600))})),
    ("unreadable", "deeper than JSON can be read", lambda: deep(100_000).encode()),
    ("unreadable", "a type that kombu cannot make", lambda: b'{"__type__": "decimal", "__value__": "x"}'),
    ("unknown_message", "no task", lambda: settle({"no": "task"}, replaced={"headers": {}})),
    ("unknown_message", "null headers", lambda: settle({"no": "headers"}, replaced={"headers": None})),
    ("unknown_task", "a task of somebody else", lambda: settle(headers={"task": "partner.refund"})),
    ("unknown_task", "a task of Celery itself", lambda: settle(headers={"task": "celery.map"})),
    ("unreadable", "a compressed body", lambda: settle(bomb(), headers={"compression": "zlib"})),
    ("unreadable", "more bytes than are read", lambda: settle(headers={"much": "x" * 262_144})),
    ("undecodable", "no JSON and no task", lambda: settle(b"{", replaced={"headers": {"id": "1"}})),
    ("undecodable", "a body that is no JSON", lambda: settle(b"{")),
    ("invalid_task", "pickle", lambda: settle(replaced={"content-type": "application/x-python-serialize"})),
    ("invalid_task", "an expiry that is no time", lambda: settle(headers={"expires": "never"})),
    ("invalid_task", "an ETA that is no time", lambda: settle(headers={"eta": "someday"})),
    ("invalid_task", "retries that are no number", lambda: settle(headers={"retries": "many"})),
    ("invalid_task", "a task id that is a number", lambda: settle(headers={"id": 7})),
    ("invalid_task", "arguments that are a text", lambda: settle(["abc", {}, EMBED])),
    ("invalid_task", "keyword arguments in a list", lambda: settle([[], [], EMBED])),
    ("invalid_task", "a callback", lambda: settle([[], {}, EMBED | {"callbacks": [{"task": "x"}]}])),
    ("malformed_task", "no task id", lambda: settle(replaced={"headers": {"task": TASK_NAME}})),
    ("malformed_task", "a task that is a list", lambda: settle(headers={"task": ["cashback.settle"]})),
    ("malformed_task", "a body that is a number", lambda: settle(b"5")),
    ("malformed_task", "a body that is null", lambda: settle(b"null")),
    ("malformed_task", "a body of two parts", lambda: settle([[], {}])),
    ("bad_message", "other arguments", lambda: settle([[], {"amount": 5}, EMBED])),
    ("bad_message", "arguments by position", lambda: settle([[5], message(token()), EMBED])),
    ("bad_message", "no receipt time", lambda: settle([[], {"version": 1, "token": token()}, EMBED])),
    ("no_token", "what is no token", lambda: settle([[], message("abc"), EMBED])),
    ("bad_signature", "a forged signature", lambda: settle([[], message(forged()), EMBED])),
    ("wrong_client", "another partner's token", lambda: settle_with(client_id="PartnerClient-9999")),
    ("wrong_client", "nobody's token", lambda: settle_with(client_id=None)),
    ("token_lives_too_long", "a token for a year", lambda: settle_with(exp=time.time() + 365 * 86_400)),
    ("token_not_yet_valid", "issued tomorrow", lambda: settle_with(iat=time.time() + 86_400)),
    ("duplicate_member", "two clients", lambda: settle([[], message(two_clients()), EMBED])),
]  # fmt: skip


def bomb() -> bytes:
    """Return a thousand bytes that would be as many million."""
    return zlib.compress(bytes(1_000_000), level=9)
