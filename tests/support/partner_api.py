"""A small receiver that speaks `POST /events` and `GET /events/{event_id}` as raw_betcore's peers do."""

import json
import socket
import threading
from dataclasses import dataclass, field
from typing import Any, Final

from cashback_client.contract import event_id_of
from tests.support.raw_betcore import Peer, Request, reply

KEY: Final = "k3y-of-edge"


@dataclass
class PartnerApi:
    """Keeps the events it was given; what `refused` and `unavailable` name gets that answer."""

    refused: dict[str, str] = field(default_factory=dict)
    unavailable: set[str] = field(default_factory=set)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, peer: Peer, connection: socket.socket, request: Request) -> None:
        """Answer one request."""
        if request.bearer != KEY:
            status, body = 401, _error("bad_key", "no producer has this key")
        elif request.path == "/base/events":
            status, body = 200, {"events": [self._take(each) for each in json.loads(request.body)["events"]]}
        elif (event := self.events.get(request.path.removeprefix("/base/events/"))) is None:
            status, body = 404, _error("not_found", "no such event")
        else:
            status, body = 200, _standing(event)
        reply(status, json.dumps(body).encode())(peer, connection, request)

    def _take(self, event: dict[str, Any]) -> dict[str, Any]:
        token = event["token"]
        event_id = str(event_id_of(token))
        if token in self.refused:
            return {"event_id": event_id, "result": "refused", "reason": self.refused[token], "detail": "no"}
        if token in self.unavailable:
            return {"event_id": event_id, "result": "unavailable", "reason": "no_copy", "detail": "away"}
        with self.lock:
            result = "duplicate" if event_id in self.events else "accepted"
            self.events.setdefault(event_id, {"event_id": event_id, **event})
        return {"event_id": event_id, "result": result}


def _standing(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": event["event_id"],
        "state": "answered",
        "code": 200,
        "received_at": "2026-11-26T12:00:00.123Z",
        "settled_at": "2026-11-26T12:00:00.130Z",
        "closed_at": "2026-11-26T12:00:00.140Z",
        "unconfirmed": False,
        "of_a_later_receiver": {"more": 1},
    }


def _error(reason: str, detail: str) -> dict[str, Any]:
    return {"error": {"reason": reason, "detail": detail}}
