"""Slips in what the message says: its arguments, its times, its token. Rows of docs/partners.md."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cashback_client.contract import TASK_NAME
from tests.support.betcore import cashback, signer
from tests.support.shop import ANSWERED, EMBED, EXPIRED, LEFT_OUT, Sent, Shop, Slip, all_of

_At = Callable[[Shop], Sent]
_Change = Callable[[str], str]

_HOUR: Final = 3_600
_DIGITS: Final = "9" * 5_000
_BAD: Final = "bad_message"
_WHOLE: Final = "received_at_ms: Input should be a valid integer"
_NUMBER: Final = "send a JSON number, whole: Unix time in milliseconds"
_NAMES: Final = "the members are `version`, `token` and `received_at_ms`"
_ALONE: Final = "send BETCORE's token alone, as it came"
_STAMP: Final = "stamp it when make comes in, and send it on at once"


def _now_ms(shop: Shop) -> int:
    received_at_ms: int = shop.message()["received_at_ms"]
    return received_at_ms


def _times(factor: float) -> _At:
    return lambda shop: shop.arguments(received_at_ms=int(_now_ms(shop) * factor))


def _token(change: _Change) -> _At:
    return lambda shop: shop.arguments(token=change(shop.token()))


def _text(shop: Shop, number: str) -> Sent:
    """Send a number that Python would not write so."""
    body = json.dumps([[], shop.message() | {"received_at_ms": 0}, EMBED])
    return shop.body(body.replace('"received_at_ms": 0', f'"received_at_ms": {number}').encode())


def _twice(shop: Shop) -> Sent:
    good = shop.message()
    text = json.dumps([[], good, EMBED]).replace('"token":', '"token": "a.b.c", "token":')
    return shop.body(text.encode(), token=good["token"])


def _later(shop: Shop) -> Sent:
    good = shop.message(shop.token(seconds_ago=_HOUR), ahead_seconds=-_HOUR)
    return shop.body([[], good, EMBED])


def _many_ids(shop: Shop) -> Sent:
    token = shop.token()
    return all_of(*(shop.envelope(token=token, headers={"id": f"order-{n}"}) for n in range(50)))


def _one_id(shop: Shop) -> Sent:
    return all_of(*(shop.envelope(headers={"id": "order-17"}) for _ in range(2)))


def _again(shop: Shop) -> Sent:
    sent = shop.envelope()
    return all_of(sent, sent)


def _forged(shop: Shop) -> Sent:
    token = replace(signer(2), kid=signer(1).kid).token(at=_now_ms(shop) / 1000)
    return shop.arguments(token=token)


TIMES: Final = (
    Slip("`received_at_ms` in seconds", _times(1 / 1000), "token_not_yet_valid",
         "received_at_ms looks like seconds: it counts milliseconds", "multiply by 1,000"),
    Slip("in microseconds", _times(1000), _BAD, "received_at_ms looks like microseconds", "divide by 1,000"),
    Slip("in nanoseconds", _times(1e6), _BAD, "received_at_ms looks like nanoseconds", "divide by 1,000,000"),
    Slip("as text", lambda shop: shop.arguments(received_at_ms=str(_now_ms(shop))), _BAD, _WHOLE, _NUMBER),
    Slip("as a date", lambda shop: shop.arguments(received_at_ms="2026-11-26T12:00:00Z"), _BAD, _WHOLE,
         _NUMBER),
    Slip("with a fraction", lambda shop: shop.arguments(received_at_ms=_now_ms(shop) + 0.5), _BAD, _WHOLE,
         _NUMBER),
    Slip("as `1.76e12`", lambda shop: _text(shop, "1.76e12"), _BAD, _WHOLE, _NUMBER),
    Slip("`true`", lambda shop: shop.arguments(received_at_ms=True), _BAD, _WHOLE, _NUMBER),
    Slip("`null`", lambda shop: shop.arguments(received_at_ms=None), _BAD, _WHOLE, _NUMBER),
    Slip("`NaN`", lambda shop: _text(shop, "NaN"), _BAD, _WHOLE, _NUMBER),
    Slip("left out", lambda shop: shop.arguments(received_at_ms=LEFT_OUT), _BAD,
         "received_at_ms: Field required",
         _NUMBER),
    Slip("negative", lambda shop: shop.arguments(received_at_ms=-1), _BAD, "greater than or equal to 0",
         _NUMBER),
    Slip("`0`", lambda shop: shop.arguments(received_at_ms=0), "token_not_yet_valid",
         "behind this worker's clock: it is when make came in", _STAMP),
    Slip("a number of 400 digits", lambda shop: _text(shop, _DIGITS[:400]), _BAD, "should be less than",
         _NUMBER),
    Slip("a number of 5,000 digits", lambda shop: _text(shop, _DIGITS), "undecodable",
         "the body is no JSON in UTF-8", _NUMBER),
    Slip("an hour ahead", lambda shop: shop.body([[], shop.message(ahead_seconds=_HOUR), EMBED]),
         "token_expired",
         "ahead of this worker's clock: it is when make came in", "set the sender's clock by NTP"),
    Slip("an hour behind", lambda shop: shop.body([[], shop.message(ahead_seconds=-_HOUR), EMBED]),
         "token_not_yet_valid", "behind this worker's clock: it is when make came in",
         "set the sender's clock by NTP"),
    Slip("the time of sending, 20 s after make came in",
         lambda shop: shop.arguments(token=shop.token(seconds_ago=20)),
         "token_expired", "received_at_ms is when make came in, and not when it is sent on", _STAMP),
    Slip("a make of an hour ago, with its true time", _later, EXPIRED, "",
         "BETCORE sends it again in a new token"),
)  # fmt: skip

TOKENS: Final = (
    Slip("no `token`", lambda shop: shop.arguments(token=LEFT_OUT), _BAD, "token: Field required", _NAMES),
    Slip("an empty token", lambda shop: shop.arguments(token=""), _BAD, "at least 1 character", _ALONE),
    Slip("`null` for the token", lambda shop: shop.arguments(token=None), _BAD,
         "token: Input should be a valid string",
         _ALONE),
    Slip("the token's claims for the token", lambda shop: shop.arguments(token=cashback()), _BAD,
         "token: Input should be a valid string", _ALONE),
    Slip("a token with a line end", _token(lambda token: f"{token}\n"), "no_token",
         "around the token is a space, a line end, a quote or a word", _ALONE),
    Slip("a token in quotes", _token(lambda token: f'"{token}"'), "no_token",
         "around the token is a space, a line end, a quote or a word", _ALONE),
    Slip("`Bearer` before the token", _token(lambda token: f"Bearer {token}"), "no_token",
         "around the token is a space, a line end, a quote or a word", _ALONE),
    Slip("two parts of a token", _token(lambda token: token.rpartition(".")[0]), "no_token",
         "not a JSON Web Token in compact form", _ALONE),
    Slip("a token of 17,000 characters", _token(lambda token: f"{token}{'x' * 17_000}"), _BAD,
         "at most 16384 characters", "BETCORE's have about 1,000"),
    Slip("a token that BETCORE did not sign", _forged, "bad_signature", "signature is not BETCORE's",
         "verify it before you send it on"),
    Slip("another partner's token",
         lambda shop: shop.arguments(token=shop.token(client_id="PartnerClient-9999")),
         "wrong_client", "for another partner", "send on what is for your `client_id`"),
)  # fmt: skip

MEMBERS: Final = (
    Slip("arguments by position", lambda shop: shop.body([["a.b.c", 1], shop.message(), EMBED]), _BAD,
         "keyword arguments only", "send them as `kwargs`"),
    Slip("no arguments", lambda shop: shop.body([[], {}, EMBED]), _BAD, "Field required", _NAMES),
    Slip("members of your own", lambda shop: shop.arguments(order="17", producer="shop"), ANSWERED, "",
         "nothing: what a worker does not know it does not read"),
    Slip("a member called `self`", lambda shop: shop.body([[], shop.message() | {"self": "17"}, EMBED]),
         "unexpected_error", "got multiple values for argument 'self'", "leave it out: it is Python's"),
    Slip("members in camelCase",
         lambda shop: shop.arguments(received_at_ms=LEFT_OUT, receivedAtMs=_now_ms(shop)), _BAD,
         "received_at_ms: Field required", _NAMES),
    Slip("the message inside of another object",
         lambda shop: shop.body([[], {"message": shop.message()}, EMBED]), _BAD,
         "token: Field required", _NAMES),
    Slip("`token` twice, the good one last", _twice, ANSWERED, "",
         "write each member once: the last one counts"),
    Slip("version 2", lambda shop: shop.arguments(version=2), "future_version",
         "message of version 2: this worker takes up to 1", "upgrade the workers first, see above"),
    Slip("version 3 with members of its own", lambda shop: shop.arguments(version=3, producer="shop"),
         "future_version", "message of version 3: this worker takes up to 1",
         "upgrade the workers first, see above"),
    Slip("version as text", lambda shop: shop.arguments(version="1"), _BAD,
         "version: Input should be a valid integer",
         "send the number 1, or leave it out"),
    Slip("version `null`", lambda shop: shop.arguments(version=None), _BAD,
         "version: Input should be a valid integer",
         "send the number 1, or leave it out"),
    Slip("version 0", lambda shop: shop.arguments(version=0), _BAD,
         "version: Input should be greater than or equal to 1",
         "send the number 1, or leave it out"),
    Slip("no version", lambda shop: shop.arguments(version=LEFT_OUT), ANSWERED, "", "nothing: it is 1"),
    Slip("the same entry twice", _again, ANSWERED, "", "nothing: the same token is the same event"),
    Slip("one token under 50 ids", _many_ids, ANSWERED, "", "nothing: the same token is the same event"),
    Slip("two tokens under one id", _one_id, ANSWERED, "", "give each its own, or Flower shows one for two"),
    Slip(f"`{TASK_NAME}` for a make that it has settled, in a new envelope",
         lambda shop: _after(shop, shop.token()), ANSWERED, "", "nothing: the same token is the same event"),
)  # fmt: skip


def _after(shop: Shop, token: str) -> Sent:
    return all_of(shop.envelope(token=token), shop.envelope(token=token, headers={"retries": 3}))
