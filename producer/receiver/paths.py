"""Where the receiver is asked what."""

from typing import Final

MAKE_PATH: Final = "/cashback-payments/make"
EVENTS_PATH: Final = "/events"
EVENT_PATH: Final = "/events/{event_id}"
DOCUMENT_PATH: Final = "/openapi.json"
ALIVE_PATH: Final = "/healthz"
READY_PATH: Final = "/readyz"
METRICS_PATH: Final = "/metrics"
