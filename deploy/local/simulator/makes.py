"""Sending makes to the partner, and keeping what came of them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field

from deploy.local.simulator.actions import MAX_SCRIPT_ACTIONS, Scripts, parse_action
from deploy.local.simulator.auth.keys import KeyRing
from deploy.local.simulator.auth.tokens import Tamper, TokenMaker
from deploy.local.simulator.protocol.make_token import Payment
from deploy.local.simulator.protocol.paths import MAKE_PATH
from deploy.local.simulator.records import Log, MakeRecord
from deploy.local.simulator.settings import SimulatorSettings

MAX_REPLY_CHARS: Final = 4_096
BodyShape = Literal["json_string", "raw", "object"]


class MakeOrder(BaseModel):
    """What `POST /sim/makes` asks for.

    Amounts are decimals in major units, as strings, so that every digit gets through. `cashback_id` and
    `transaction_type` also name the script and the accepts that belong to it, whatever `data_override`
    (the text of the `data` claim, verbatim) says. `script` replaces the one of that key; without it an
    older one goes on. `same_token_as` sends an earlier make's token again: of the rest of this order only
    `body_shape` and `script` count then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cashback_id: int = 0
    user_id: str = ""
    transaction_type: int = 1
    amount: str = "0"
    tax_amount: str | None = None
    amount_as: Literal["string", "number"] = "string"
    body_shape: BodyShape = "json_string"
    tamper: Tamper = "none"
    data_override: str | None = None
    script: Annotated[list[str], Field(max_length=MAX_SCRIPT_ACTIONS)] | None = None
    same_token_as: int | None = None

    def payment(self) -> Payment:
        """Return what the make is about."""
        fields = (
            "cashback_id",
            "user_id",
            "transaction_type",
            "amount",
            "tax_amount",
            "amount_as",
            "data_override",
        )
        return Payment(**{name: getattr(self, name) for name in fields})


@dataclass(frozen=True, slots=True)
class MakeSender:
    """Signs make tokens and sends each once: a transport retry is an order of its own."""

    settings: SimulatorSettings
    client: httpx.AsyncClient
    keys: KeyRing
    scripts: Scripts
    log: Log
    clock: Callable[[], float]

    def sign(self, order: MakeOrder) -> dict[str, Any]:
        """Sign the token of one make and return it, for somebody else to hand on: it counts as sent.

        Raises LogFull, UnknownMake for `same_token_as`, UnknownAction for the script.
        """
        record = self._logged(order)
        return {"make_id": record.make_id, "token_sha256": record.token_sha256, "token": record.token}

    async def send(self, order: MakeOrder) -> dict[str, Any]:
        """Send one make and return what came of it; a failed sending is a result, not an error.

        Raises what `sign` does.
        """
        record = self._logged(order)
        try:
            await self._post(record)
        except httpx.HTTPError as error:
            record.error = f"{type(error).__name__}: {error}"
        record.replied_at_ms = self._now_ms()
        return {
            "make_id": record.make_id,
            "token_sha256": record.token_sha256,
            "http_status": record.http_status,
            "reply": record.reply,
            "error": record.error,
            "elapsed_ms": record.replied_at_ms - record.sent_at_ms,
        }

    def _logged(self, order: MakeOrder) -> MakeRecord:
        actions = [parse_action(text) for text in order.script] if order.script is not None else None
        record = self._record(order)
        if actions is not None:
            self.scripts.set((record.cashback_id, record.transaction_type), actions)
        self.log.add_make(record)
        return record

    def _record(self, order: MakeOrder) -> MakeRecord:
        make_id = self.log.next_make_id()
        now_ms = self._now_ms()
        if order.same_token_as is not None:
            first = asdict(self.log.make(order.same_token_as))
            afresh = {"replied_at_ms": None, "http_status": None, "reply": None, "error": None}
            again = {"make_id": make_id, "same_token_as": order.same_token_as, "body_shape": order.body_shape}
            return MakeRecord(**{**first, **afresh, **again, "sent_at_ms": now_ms})
        maker = TokenMaker(
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            lifetime_seconds=self.settings.make_lifetime_seconds,
        )
        token = maker.token(order.payment(), key=self.keys.current, now=self.clock(), tamper=order.tamper)
        return MakeRecord(
            make_id=make_id,
            cashback_id=order.cashback_id,
            user_id=order.user_id,
            transaction_type=order.transaction_type,
            amount=order.amount,
            tax_amount=order.tax_amount,
            tamper=order.tamper,
            body_shape=order.body_shape,
            same_token_as=None,
            token_sha256=hashlib.sha256(token.encode()).hexdigest(),
            token=token,
            sent_at_ms=now_ms,
            first_sent_at_ms=now_ms,
        )

    async def _post(self, record: MakeRecord) -> None:
        content, content_type = _body(record.token, record.body_shape)
        try:
            response = await self.client.post(
                self.settings.partner_url + MAKE_PATH, content=content, headers={"content-type": content_type}
            )
        except AttributeError as error:
            # anyio 4.16 asks uvloop for the socket of a connection that was reset as soon as it was made, and
            # there is none any more.
            raise httpx.ConnectError(f"reset when it was connected: {error}") from error
        record.http_status = response.status_code
        try:
            record.reply = response.json()
        except ValueError:
            record.reply = response.text[:MAX_REPLY_CHARS]

    def _now_ms(self) -> int:
        return round(self.clock() * 1_000)


def _body(token: str, shape: str) -> tuple[bytes, str]:
    if shape == "raw":
        return token.encode(), "text/plain"
    return json.dumps(token if shape == "json_string" else {"token": token}).encode(), "application/json"
