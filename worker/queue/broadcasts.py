"""Remote control: what Flower shows is answered, and nothing is done that a broadcast asks for.

Celery lets whoever can publish on Redis stop a worker, take its queue away, or slow a task down to nothing.
Decision 35.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import structlog
from kombu.utils.json import loads
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producer.shared.log_tally import LogTally
from worker.queue.entry import body_of, read_envelope

MAX_BROADCAST_BYTES: Final = 65_536
ANSWERED: Final = (
    *("ping", "stats", "active", "active_queues", "conf", "registered", "reserved", "revoked", "scheduled"),
    # Flower asks for it again and again. They are on from the start, so it changes nothing.
    "enable_events",
)
"""The questions that are answered: those of Flower."""

_MAX_FAULT_CHARS: Final = 200

_log = structlog.get_logger(__name__)

Handler = Callable[..., Any]
_Name = Annotated[str, Field(max_length=255)]


class _Strict(BaseModel):
    """What is checked here and then read by Celery from the bytes: nothing may need a conversion."""

    model_config = ConfigDict(strict=True)


class _ReplyTo(_Strict):
    exchange: _Name
    routing_key: _Name


class _Question(_Strict):
    """The body, as Flower and `celery inspect` write it. Of patterns only those whose match takes no time."""

    # Celery calls a function with all members by their names.
    model_config = ConfigDict(extra="forbid")

    method: _Name
    arguments: dict[str, Any] | None = None
    destination: Annotated[list[_Name], Field(max_length=1_000)] | None = None
    pattern: _Name | None = None
    matcher: Literal["glob"] | None = None
    reply_to: _ReplyTo | None = None
    ticket: _Name | None = None


class _Headers(_Strict):
    clock: Annotated[int, Field(ge=0, lt=2**53)] | None = None


class _Properties(_Strict):
    delivery_tag: _Name


class _Broadcast(_Strict):
    headers: _Headers
    properties: _Properties
    content_type: Annotated[str, Field(pattern="^application/json$", validation_alias="content-type")]
    content_encoding: Annotated[str, Field(pattern="^utf-8$", validation_alias="content-encoding")]


def fault_of(raw: bytes) -> str | None:
    """Say in a few words what is wrong with a broadcast; None where it can be read. Never raises."""
    if len(raw) > MAX_BROADCAST_BYTES:
        return f"it has {len(raw)} bytes, and {MAX_BROADCAST_BYTES} is the most that is read"
    try:
        envelope = read_envelope(raw)
        _Broadcast.model_validate(envelope)
        _Question.model_validate(loads(body_of(envelope)))
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
        return "; ".join(faults)[:_MAX_FAULT_CHARS]
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the worker
        return f"{type(error).__name__}: {error}"[:_MAX_FAULT_CHARS]
    return None


class Questions(dict[str, Handler]):
    """Celery's handlers of the questions that are answered; all others are refused and logged."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        super().__init__({name: _without_arguments(handlers[name]) for name in ANSWERED})
        self._tally = LogTally()

    def __missing__(self, name: str) -> Handler:
        """Return what refuses."""

        def refuse(_state: object, /, **_arguments: object) -> dict[str, str]:
            self._tally.tell(_log.warning, "remote_control_refused", per="refused", command=name[:100])
            return {"error": f"refused: a worker answers {', '.join(ANSWERED)}, and nothing else"}

        return refuse


def _without_arguments(handler: Handler) -> Handler:
    # Flower gives none; they would choose what is read of the worker's objects.
    def answer(state: object, /, **_arguments: object) -> Any:  # noqa: ANN401 - as Celery answers
        return handler(state)

    return answer
