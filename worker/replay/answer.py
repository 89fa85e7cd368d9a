"""The accept of a replay: the one that the settlement of its event came to, once more. Pure.

Decision 48.
"""

from cashback_client.contract import DataError, SettleMessage, read_data
from producer.protocol.compact import json_object, read_compact
from producer.protocol.errors import VerificationError
from worker.betcore.accept_body import accept_body
from worker.domain.deadline import Deadline
from worker.domain.settlement import Instruction, read_instruction, unread_instruction
from worker.errors import WorkerError
from worker.handling.attempt import AfterReply, Answer, Attempt
from worker.replay.store import Replay


class TokenNotOnRecord(WorkerError):
    """The event's token is not on record, and without it its accept cannot be written."""

    reason = "token_not_on_record"


def answer_of(replay: Replay, *, begun_at: float, attempt_seconds: float, after_reply: AfterReply) -> Answer:
    """Return the answer that is sent for a replay which was claimed at `begun_at` (monotonic).

    With 200 and 103804 its Value is the transaction in the ledger. Raises TokenNotOnRecord.
    """
    if replay.token is None:
        raise TokenNotOnRecord
    message = SettleMessage(token=replay.token, received_at_ms=round(replay.received_at.timestamp() * 1000))
    return Answer(
        attempt=Attempt(message=message, retries=replay.tries - 1, begun_at=begun_at),
        body=accept_body(replay.settlement, _instruction(replay.token, replay.settlement.cashback_id)),
        deadline=Deadline(begun_at + attempt_seconds),
        is_late=False,
        after_reply=after_reply,
    )


def _instruction(token: str, cashback_id: int) -> Instruction:
    """Read what the event asked for, which an error code echoes.

    The receipt vouches for the token: it was verified when it came, its digest is the event's id, and the key
    that signed it may be long gone. Nothing is decided by it.
    """
    try:
        claims = json_object(read_compact(token).payload) or {}
        data = read_data(claims.get("data"))
    except (VerificationError, DataError):
        return unread_instruction(cashback_id)
    return read_instruction(data, cashback_id=cashback_id, cancel_types=frozenset())
