"""Who handed in what lies on a queue: whoever may write there vouches for it, and no message does."""

from collections.abc import Mapping
from typing import Any, Final

from cashback_client.contract import OWN_PRODUCER, PRODUCER_NAME, RETRY_QUEUE, producer_of

PRODUCER_HEADER: Final = "cashback-producer"
"""By it a worker says on the retry queue whose event it sends again; there is none for our own receiver's."""


def producer_on(queue: str, headers: Mapping[str, object]) -> str:
    """Return who handed in an entry that was on `queue`.

    Workers alone write to the retry queue. On any other one the header is its sender's word, and not taken.
    """
    if queue != RETRY_QUEUE:
        return producer_of(queue)
    name = headers.get(PRODUCER_HEADER)
    return name if isinstance(name, str) and PRODUCER_NAME.fullmatch(name) else OWN_PRODUCER


def sent_again(headers: Mapping[str, Any], *, producer: str) -> dict[str, Any]:
    """Return the headers for the retry queue: whatever their sender wrote, they say whose event it is."""
    others = {name: value for name, value in headers.items() if name != PRODUCER_HEADER}
    return others if producer == OWN_PRODUCER else {**others, PRODUCER_HEADER: producer}
