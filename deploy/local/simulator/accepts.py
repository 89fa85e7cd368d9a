"""Receiving accepts: who may, what they must look like, by when, and how the simulator takes them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from deploy.local.simulator.actions import Action, Scripts
from deploy.local.simulator.auth.bearers import Bearers
from deploy.local.simulator.errors import MalformedAccept
from deploy.local.simulator.protocol.accept_body import MAX_BODY_BYTES, AcceptBody, read_accept_body
from deploy.local.simulator.protocol.envelope import MALFORMED, SUCCESS
from deploy.local.simulator.records import AcceptRecord, Log
from deploy.local.simulator.replies import Connections, enveloped, misbehaviour

# Actions after which BETCORE's books hold the accept, whatever becomes of the answer.
_TAKEN: Final = frozenset({"ok", "slow", "lost", "half"})
_CUT_OFF: Final = frozenset({"drop", "lost", "half"})


@dataclass(frozen=True, slots=True)
class AcceptDesk:
    """Takes accepts and answers them as their script says."""

    limit_seconds: float
    bearers: Bearers
    scripts: Scripts
    log: Log
    connections: Connections
    clock: Callable[[], float]

    async def take(self, request: Request, raw: bytes, *, received_at: float) -> Response:
        """Log one accept and answer it; raises LogFull."""
        record = self.log.open_accept(
            received_at_ms=round(received_at * 1_000),
            raw_body=raw[:MAX_BODY_BYTES].decode("utf-8", "replace"),
        )
        response = await self._answer(request, raw, record)
        record.answered_at_ms = round(self.clock() * 1_000)
        if record.behaviour not in _CUT_OFF:
            record.delivered = True
            record.answer_status = response.status_code
        return response

    async def _answer(self, request: Request, raw: bytes, record: AcceptRecord) -> Response:
        record.authorized = self.bearers.allows(request.headers.get("authorization"))
        if not record.authorized:
            return _reply(record, 401, status=401)
        try:
            body = read_accept_body(raw, content_type=request.headers.get("content-type", ""))
        except MalformedAccept as error:
            record.problem = str(error)
            return _reply(record, MALFORMED, message=str(error))
        _note(record, body)
        found = self.log.answerable_since_ms(body.cashback_id, body.transaction_type)
        if found is None:
            record.problem = "no make with this CashbackId and TransactionType was sent"
            return _reply(record, MALFORMED, message=record.problem)
        key, first_sent_at_ms = found
        record.in_time = record.received_at_ms - first_sent_at_ms <= self.limit_seconds * 1_000
        if not record.in_time:
            record.late = True
            record.problem = f"more than {self.limit_seconds:g} s after its make"
            return _reply(record, MALFORMED, message=record.problem)
        return await self._behave(self.scripts.take(key), request, record)

    async def _behave(self, action: Action, request: Request, record: AcceptRecord) -> Response:
        record.behaviour = str(action)
        if action.name == "slow":
            await asyncio.sleep(action.seconds)
        record.acknowledged = action.name in _TAKEN
        match action.name:
            case "401":
                self.bearers.revoke_all()
                return _reply(record, 401, status=401)
            case "102823" | "103752":
                return _reply(record, int(action.name))
            case "ok" | "slow":
                return _reply(record, SUCCESS)
        honest = enveloped(SUCCESS)
        return misbehaviour(action.name, self.connections, request=request, honest=honest)


def _reply(record: AcceptRecord, code: int, *, status: int = 200, message: str | None = None) -> Response:
    record.answer_code = code
    return enveloped(code, message, status=status)


def _note(record: AcceptRecord, body: AcceptBody) -> None:
    record.error_code = body.error_code
    record.cashback_id = body.cashback_id
    record.transaction_type = body.transaction_type
    record.user_id = body.user_id
    record.partner_transaction_id = body.partner_transaction_id
    record.amount = None if body.amount is None else str(body.amount)
    record.tax_amount = None if body.tax_amount is None else str(body.tax_amount)
