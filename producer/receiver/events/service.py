"""All that serves partners, put together."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from prometheus_client import CollectorRegistry
from starlette.routing import Route

from producer.protocol.verifier import Verifier
from producer.receiver.backlog import Backlog
from producer.receiver.events.admission.backlogs import Backlogs
from producer.receiver.events.admission.keys import PartnerKeys
from producer.receiver.events.admission.limits import PartnerLimits
from producer.receiver.events.handler import PartnerEvents
from producer.receiver.events.metrics import PartnerMetrics
from producer.receiver.events.models import MAX_EVENTS_BODY_BYTES
from producer.receiver.events.taking.intake import Intake
from producer.receiver.events.taking.record import Record, StateStore
from producer.receiver.events.taking.times import ReceiptTimes
from producer.receiver.events.taking.verifying import Lookups
from producer.receiver.http.clients import Clients
from producer.receiver.http.failures import FailedVerifications
from producer.receiver.openapi.operations import route
from producer.receiver.pause import IntakePause
from producer.receiver.two_copies import TwoCopies

MAX_EVENTS_WIRE_BYTES: Final = 2 * MAX_EVENTS_BODY_BYTES
"""A body with its chunks, if these are not of a few bytes each."""


class PartnerService:
    """Serves partners that have keys, while `watches` run.

    Nobody's event is taken where makes wait too long in `backlog`, nor a producer's whose own do;
    `new_backlog` makes one for a producer.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        keys: PartnerKeys,
        verifier: Verifier,
        copies: TwoCopies,
        states: StateStore,
        backlog: Backlog,
        new_backlog: Callable[[str], Backlog],
        pause: IntakePause,
        registry: CollectorRegistry,
        clients: Clients,
        failures: FailedVerifications,
        times: ReceiptTimes,
        limits: PartnerLimits,
        now_ms: Callable[[], int],
    ) -> None:
        self._keys = keys
        self._backlogs = Backlogs(new_backlog)
        self._lookups = Lookups(verifier, timeout_seconds=limits.lookup_timeout_seconds)
        record = Record(states, at_once=limits.looks_at_once, timeout_seconds=limits.record_timeout_seconds)
        intake = Intake(
            lookups=self._lookups,
            copies=copies,
            record=record,
            times=times,
            events_in_flight=limits.events_in_flight,
            on_accepted=self._backlogs.taken,
        )
        self._events = PartnerEvents(
            keys=keys,
            intake=intake,
            record=record,
            backlog=backlog,
            backlogs=self._backlogs,
            pause=pause,
            metrics=PartnerMetrics(registry),
            clients=clients,
            failures=failures,
            limits=limits,
            now_ms=now_ms,
        )

    def routes(self) -> list[Route]:
        """Return what is served."""
        return [
            route("handIn", self._events.submit),
            route("show", self._events.show),
        ]

    def watches(self) -> dict[str, Coroutine[Any, Any, None]]:
        """Return what is to run meanwhile, by name."""
        return {"partner keys": self._keys.watch(), "partner backlogs": self._backlogs.watch()}

    def close(self) -> None:
        """End the threads."""
        self._lookups.close()
