"""Broadcasts of remote control, good and bad, as they are published on Redis."""

import json
from base64 import b64encode
from uuid import uuid4


def envelope(body: object, /, **replaced: object) -> bytes:
    """Return a broadcast that is good but for its body, and these members of its envelope."""
    made: dict[str, object] = {
        "body": b64encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"clock": 1},
        "properties": {"delivery_tag": str(uuid4()), "delivery_info": {}, "body_encoding": "base64"},
    }
    return json.dumps(made | replaced).encode()


PING: dict[str, object] = {
    "method": "ping",
    "arguments": {},
    "destination": None,
    "pattern": None,
    "matcher": None,
}
MALFORMED: dict[str, bytes] = {
    "no JSON": b"garbage",
    "no text": b"\xff\xfe",
    "a number": b"5",
    "a list": b"[]",
    "deeper than JSON can be read": b"[" * 100_000,
    "no properties": envelope(PING, properties=None),
    "no delivery tag": envelope(PING, properties={"body_encoding": "base64"}),
    "no headers": envelope(PING, headers=7),
    "a clock that is a text": envelope(PING, headers={"clock": "now"}),
    "a clock that is the text of a number": envelope(PING, headers={"clock": "5"}),
    "a clock without an end": envelope(PING, headers={"clock": 10**400}),
    "a compressed body": envelope(PING, headers={"compression": "application/x-gzip"}),
    "pickle": envelope(PING, **{"content-type": "application/x-python-serialize"}),
    "an encoding that nobody knows": envelope(PING, **{"content-encoding": "rot13"}),
    "a body that is no base64": envelope(PING, body="abc"),
    "a body that is a list": envelope([1, 2]),
    "a body without a method": envelope({}),
    "a method that is a list": envelope(PING | {"method": ["ping"]}),
    "a method in bytes": envelope(PING | {"method": {"__type__": "bytes", "__value__": "ping"}}),
    "a member that no question has": envelope(PING | {"self": 1}),
    "arguments in a list": envelope(PING | {"arguments": [1]}),
    "a destination that is a number": envelope(PING | {"destination": 7}),
    "a pattern": envelope(PING | {"pattern": "(a+)+$", "matcher": "pcre"}),
    "an address that is none": envelope(PING | {"reply_to": 5, "ticket": "x"}),
    "more bytes than are read": envelope(PING | {"arguments": {"x": "x" * 100_000}}),
}
