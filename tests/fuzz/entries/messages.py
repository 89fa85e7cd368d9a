"""What lies in Redis: entries of the queues, broadcasts, and the entries that we write ourselves."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kombu.clocks import LamportClock
from kombu.pidbox import Node
from kombu.transport import virtual
from kombu.utils.json import loads
from pydantic import ValidationError

from cashback_client.contract import SettleMessage, event_id_of
from cashback_client.envelope import EntryWriter, message_in
from tests.fuzz.samples import TOKEN
from tests.fuzz.target import Target, text_of
from worker.quarantine.description import describe_envelope
from worker.queue.broadcasts import ANSWERED, Questions, fault_of
from worker.queue.entry import UNREADABLE, body_of, read_entry
from worker.queue.transport.held import Holder, Taken

_HOLDER: Final = Holder(["cashback"], lease_seconds=1)
_WRITER: Final = EntryWriter(origin="fuzz%(x)s", sender="sender%d")
_MAX_SHOWN_CHARS: Final = 203
_RECEIVED_AT_MS: Final = 1_800_000_000_000


class _Codec(virtual.Channel):  # type: ignore[misc]  # kombu has no types
    """As much of a channel as a message needs: how bodies are encoded."""

    def __init__(self) -> None:
        self.closed = True


class _Mailbox:
    """As much of a mailbox as a node needs: a clock, and where replies go."""

    serializer = "json"

    def __init__(self) -> None:
        self.clock = LamportClock()

    def _publish_reply(self, *_arguments: object, **_options: object) -> None:
        """Send it nowhere."""


_CODEC: Final = _Codec()
_NODE: Final = Node("worker@host", mailbox=_Mailbox())
_NODE.handlers = Questions({name: lambda _state: {"ok": True} for name in ANSWERED})


def check_queue_entry(data: bytes) -> None:
    """Demand that whatever is taken becomes a message that kombu takes, and that the quarantine can keep."""
    entry = read_entry(Taken.of("7 0 cashback", data), _HOLDER)
    assert (entry.raw, entry.queue) == (data, "cashback")
    message = virtual.Message(entry, channel=_CODEC)
    assert message.delivery_tag == "7 0 cashback"
    described = describe_envelope(
        entry,
        reason="malformed",
        detail=str(entry["headers"].get(UNREADABLE, "")),
        queue=entry.queue,
        message=entry.raw,
    )
    texts = (described.detail, described.task_id, described.task_name, described.content_type)
    for text in (*texts, described.content_encoding):
        assert text is None or (text.isprintable() and len(text) <= _MAX_SHOWN_CHARS)
        assert text is None or TOKEN not in text
    # What PostgreSQL takes as jsonb, and what gives no token away.
    json.dumps(described.headers, allow_nan=False)
    assert all(text.isprintable() and TOKEN not in text for text in _texts(described.headers))
    assert described.message == data
    ours = message_in(data)
    assert ours is None or ours.event_id == event_id_of(ours.token)


def check_own_entry(data: bytes) -> None:
    """Demand that what we write onto the queue is read back as it was, whatever stands in it."""
    token, _, summary = text_of(data).partition("\n")
    try:
        message = SettleMessage(token=token, received_at_ms=_RECEIVED_AT_MS + len(data))
    except ValidationError:
        return
    written = _WRITER.entry(message, event_id=message.event_id, summary=summary)
    assert message_in(written) == message
    entry = read_entry(Taken.of("7 0 cashback", written), _HOLDER)
    assert UNREADABLE not in entry["headers"]
    assert entry["headers"]["id"] == str(message.event_id)
    assert entry["headers"]["kwargsrepr"] == summary
    [arguments, members, _] = json.loads(body_of(entry))
    assert (arguments, members) == ([], message.model_dump())


def check_broadcast(data: bytes) -> None:
    """Demand that what is let through to Celery can be read, and says what is asked."""
    fault = fault_of(data)
    if fault is not None:
        assert 0 < len(fault) <= 200
        return
    envelope = loads(data)
    message = virtual.Message(envelope, channel=_CODEC)
    assert message.content_type == "application/json"
    # As Celery goes on: it logs what fails with its traceback, and makes the channel anew.
    said = _NODE.handle_message(loads(body_of(envelope)), message)
    assert said is None or "error" not in said or said["error"].startswith("refused: ")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    inner = value.items() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for each in inner:
        yield from _texts(each)


def _entry(**changes: Any) -> bytes:  # noqa: ANN401 - JSON
    message = SettleMessage(token=TOKEN, received_at_ms=_RECEIVED_AT_MS)
    written = json.loads(_WRITER.entry(message, event_id=message.event_id, summary="-"))
    return json.dumps(written | changes).encode()


def _broadcast(**changes: Any) -> bytes:  # noqa: ANN401 - JSON
    question: dict[str, object] = {"method": "ping", "arguments": {}, "destination": None}
    return json.dumps(
        {
            "body": json.dumps(question | {"ticket": "t", "reply_to": {"exchange": "e", "routing_key": "r"}}),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 1},
            "properties": {"delivery_tag": "t", "body_encoding": "utf-8"},
        }
        | changes
    ).encode()


_WORDS: Final = (
    *(b'"__type__":"decimal","__value__":"1e9"', b'"__type__":"datetime","__value__":"x"', b"compression"),
    *(b'"__type__":"uuid","__value__":{"hex":"0"}', b'"__type__":"bytes","__value__":"x"', b'"headers":{}'),
    *(
        b'"body_encoding":"utf-8"',
        b'"properties":',
        b'"body":',
        b"null",
        b"\\u0000",
        b"\\ud800",
        b"1e400",
        b"\xff",
    ),
)
_ENTRY_NAMES: Final = (
    "body",
    "headers",
    "properties",
    "content-type",
    "content-encoding",
    "body_encoding",
    "id",
)

TARGETS: Final = (
    Target(
        name="queue-entry",
        check=check_queue_entry,
        share=1,
        seeds=(
            *(
                _entry(),
                _entry(headers=None),
                _entry(headers={"id": 5, "task": [TOKEN]}),
                _entry(body="W10="),
            ),
            *(_entry(properties={"body_encoding": "x"}), b"[" * 2_000, b'{"__type__": "decimal"}'),
            _entry(headers={"a": {"__type__": "decimal", "__value__": "1E+1000000"}, "compression": "gzip"}),
        ),
        words=_WORDS,
        names=(*_ENTRY_NAMES, "__type__", "__value__", "task", "compression"),
        max_bytes=8_192,
    ),
    Target(
        name="own-entry",
        check=check_own_entry,
        share=1,
        seeds=(
            TOKEN.encode() + b"\nCashbackId=480 type=1 amount=10 user=18***09",
            b"a\n%s%(x)d<body>",
            b"\0\n",
        ),
        words=(b"%", b"%(body)b", b"<tag>", b"<token>", b"\\", b'"', b"\n", b"\xf0\x9f\x98\x80", b"\xff"),
    ),
    Target(
        name="broadcast",
        check=check_broadcast,
        share=1,
        seeds=(
            *(_broadcast(), _broadcast(headers={"clock": -1}), _broadcast(body="{}"), _broadcast(body=5)),
            _broadcast(**{"content-type": "application/x-python-serialize"}),
        ),
        words=(
            *(
                *_WORDS,
                b'\\"method\\"',
                b'\\"matcher\\":\\"pcre\\"',
                b'\\"pattern\\"',
                b'"clock"',
                b'\\"self\\":1,',
            ),
            *(b'\\"state\\":1', b'{\\"__type__\\":\\"bytes\\",\\"__value__\\":\\"x\\"}', b'"5"', b"1.5"),
        ),
        names=(*_ENTRY_NAMES, "clock", "delivery_tag"),
    ),
)
