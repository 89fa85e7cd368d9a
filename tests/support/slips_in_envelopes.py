"""Slips in how a message is put onto a list: envelope, body, Celery's options. Rows of docs/partners.md."""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from cashback_client.contract import QUEUE, RETRY_QUEUE, TASK_NAME, event_id_of
from tests.support.shop import ANSWERED, EMBED, LEFT_OUT, NAMED, Sent, Shop, Slip, raw

_At = Callable[[Shop], Sent]

_SHAPE: Final = "write the envelope above"
_BODY: Final = "the body is base64 of JSON in UTF-8: `[[], {message}, {}]`"
_EACH: Final = "send each settlement by itself"
_NONE: Final = "leave it out: it does nothing"
_UTF8: Final = "write JSON in UTF-8, without a byte order mark"
_ID: Final = "set it to the event id, or to a text of your own"
_PLAIN: Final = "a plain Celery app sends it to its default queue: name the queue"


def _in_envelope(**changes: Any) -> _At:  # noqa: ANN401 - members of JSON
    return lambda shop: shop.envelope(**changes)


def _headers(**headers: object) -> _At:
    return lambda shop: shop.envelope(headers=headers)


def _properties(**properties: object) -> _At:
    return lambda shop: shop.envelope(properties=properties)


def _embedded(**embed: object) -> _At:
    return lambda shop: shop.body([[], shop.message(), EMBED | embed])


def _bare(shop: Shop) -> str:
    return json.dumps(shop.message())


def _body_bytes(shop: Shop, codec: str, **envelope: object) -> Sent:
    good = shop.message()
    return shop.body(json.dumps([[], good, EMBED]).encode(codec), token=good["token"], **envelope)


def _plain_body(shop: Shop, **properties: object) -> Sent:
    good = shop.message()
    body = json.dumps([[], good, EMBED])
    return shop.envelope(token=good["token"], body=body, properties={"body_encoding": LEFT_OUT} | properties)


def _protocol_1(shop: Shop) -> Sent:
    good = shop.message()
    made = {"task": TASK_NAME, "id": "order-18", "args": [], "kwargs": good, "retries": 0, "eta": None}
    sent = shop.body(json.dumps(made).encode(), token=good["token"])
    ((queue, entry),) = sent.entries
    return Sent([(queue, json.dumps(json.loads(entry) | {"headers": {}}).encode())], sent.events)


def _without(shop: Shop, part: str) -> Sent:
    ((queue, entry),) = shop.envelope().entries
    made = json.loads(entry)
    del made[part]
    return raw(json.dumps(made), queue)


def _ahead(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + seconds))


def _celery(**changed: object) -> _At:
    def send(app: Any, kwargs: dict[str, Any], options: dict[str, Any]) -> None:  # noqa: ANN401 - Celery
        kept = {name: value for name, value in (options | changed).items() if value is not LEFT_OUT}
        app.send_task(TASK_NAME, kwargs=kwargs, **kept)

    return lambda shop: shop.by_celery(send)


def _signature(app: Any, kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - Celery
    return app.signature(TASK_NAME, kwargs=kwargs, immutable=True).set(queue=QUEUE)


def _group(shop: Shop) -> Sent:
    from celery import group  # noqa: PLC0415 - Celery takes long to import

    return shop.by_celery(lambda app, kwargs, _: group([_signature(app, kwargs)] * 2, app=app).apply_async())


def _chain(shop: Shop) -> Sent:
    from celery import chain  # noqa: PLC0415 - the same

    sent = shop.by_celery(
        lambda app, kwargs, _: chain(_signature(app, kwargs), _signature(app, kwargs), app=app).apply_async()
    )
    return Sent(sent.entries)


UNREADABLE: Final = (
    Slip("bare JSON, without an envelope", lambda shop: raw(_bare(shop)), "unreadable",
         "bare JSON: the list wants an envelope around the message", _SHAPE),
    Slip("a bare token", lambda shop: raw(shop.token()), "unreadable",
         "a bare token: the list wants an envelope around the message", _SHAPE),
    Slip("a token as a JSON string", lambda shop: raw(json.dumps(shop.token())), "unreadable",
         "a bare token: the list wants an envelope around the message", _SHAPE),
    Slip("what is no JSON", lambda _: raw("token=a.b.c"), "unreadable", "the entry is no JSON object",
         _SHAPE),
    Slip("an empty entry", lambda _: raw(""), "unreadable", "the entry is no JSON object", _SHAPE),
    Slip("a list of messages", lambda shop: raw(f"[{_bare(shop)}]"), "unreadable",
         "the entry is no JSON object",
         "put each onto the list by itself"),
    Slip("an envelope in UTF-16", lambda shop: raw(_bare(shop).encode("utf-16")), "unreadable",
         "the entry is no UTF-8", _UTF8),
    Slip("an envelope with a byte order mark", lambda shop: raw(b"\xef\xbb\xbf" + _bare(shop).encode()),
         "unreadable",
         "the entry begins with a byte order mark", _UTF8),
    Slip("an envelope without `properties`", lambda shop: _without(shop, "properties"), "unreadable",
         "properties is missing or of the wrong type", _SHAPE),
    Slip("a body that is an object", _in_envelope(body={"token": "a.b.c"}), "unreadable",
         "body is missing or of the wrong type", _BODY),
    Slip("broken base64", _in_envelope(body="W1tdLHt9LHt9X"), "unreadable", "the body is no base64", _BODY),
    Slip("`body_encoding` that nobody knows", _properties(body_encoding="hex"), "unreadable",
         "body_encoding is 'hex': it is base64", _BODY),
    Slip("a compressed body", _headers(compression="application/x-gzip"), "unreadable",
         "compressed messages are not taken", "send it as it is"),
    Slip("300 KB", _headers(picture="x" * 300_000), "unreadable", "is the most that is read",
         "an entry has 256 KB at most"),
    Slip("headers nested 60 deep", _headers(deep=json.loads("[" * 60 + "]" * 60)), "unreadable",
         "nested deeper than 50 levels", _SHAPE),
)  # fmt: skip

BODIES: Final = (
    Slip("base64 without `body_encoding`", _properties(body_encoding=LEFT_OUT), "undecodable",
         "the body is no JSON in UTF-8", _BODY),
    Slip("a body in UTF-16", lambda shop: _body_bytes(shop, "utf-16"), "undecodable",
         "the body is no JSON in UTF-8", _UTF8),
    Slip("a body with a byte order mark", lambda shop: _body_bytes(shop, "utf-8-sig"), "undecodable",
         "the body is no JSON in UTF-8", _UTF8),
    Slip("a body in UTF-16, and `content-encoding` says so",
         lambda shop: _body_bytes(shop, "utf-16", **{"content-encoding": "utf-16"}), "undecodable",
         "the body is no JSON in UTF-8", _UTF8),
    Slip("the message alone for the body", lambda shop: shop.body(shop.message()), "malformed_task",
         "the body is no list of three", _BODY),
    Slip("a body of two parts", lambda shop: shop.body([[], shop.message()]), "malformed_task",
         "the body is no list of three", _BODY),
    Slip("JSON as it is for the body, without `body_encoding`", _plain_body, ANSWERED, "",
         "nothing: it is taken, too"),
    Slip("no `content-type`", _in_envelope(**{"content-type": LEFT_OUT}), "malformed_task",
         "content-type is None: it is application/json", _SHAPE),
    Slip("`content-type` of plain text", _in_envelope(**{"content-type": "text/plain"}), "invalid_task",
         "text/plain", "it is `application/json`"),
    Slip("pickle", _in_envelope(**{"content-type": "application/x-python-serialize"}), "invalid_task",
         "pickle", 'set `serializer="json"`'),
)  # fmt: skip

HEADERS: Final = (
    Slip("no `headers`", lambda shop: _without(shop, "headers"), "unknown_message", "no task header", _SHAPE),
    Slip("no `id` header", _headers(id=LEFT_OUT), "malformed_task", "no id header", _ID),
    Slip("`id` is `null`", _headers(id=None), "invalid_task", "the task id (header id)", _ID),
    Slip("an `id` of 300 characters", _headers(id="x" * 300), "invalid_task", "the task id (header id)", _ID),
    Slip("an `id` that is no UUID", _headers(id="order-19"), ANSWERED, "",
         "nothing: the token says which event it is"),
    Slip("an `id` in upper case", _headers(id="0A1B2C3D-4E5F-8607-9A8B-7C6D5E4F3A2B"), ANSWERED, "",
         "nothing: the token says which event it is"),
    Slip("the `id` of another token",
         lambda shop: shop.envelope(headers={"id": str(event_id_of(shop.token()))}),
         ANSWERED, "", "nothing: the token says which event it is"),
    Slip("no `task` header", _headers(task=LEFT_OUT), "unknown_message", "no task header",
         f"it is `{TASK_NAME}`"),
    Slip("a task that is not ours", _headers(task="shop.settle"), "unknown_task",
         "no worker here runs this task",
         f"it is `{TASK_NAME}`"),
    Slip("the task in capitals", _headers(task="Cashback.Settle"), "unknown_task",
         "no worker here runs this task",
         f"it is `{TASK_NAME}`"),
    Slip("`retries` 99", _headers(retries=99), ANSWERED, "",
         "leave it out, or 0: it makes the first pauses long"),
    Slip("`retries` as text", _headers(retries="1"), "invalid_task", "the count of retries is no count",
         "leave it out"),
    Slip("`argsrepr` and `kwargsrepr` that are not true", _headers(argsrepr="x", kwargsrepr="CashbackId=1"),
         ANSWERED,
         "", "nothing: Flower shows what the worker reads"),
    Slip("`shadow`, `stamps` and `timelimit` of any kind",
         _headers(shadow=["x"], stamps=5, stamped_headers=5, timelimit="soon"), ANSWERED, "",
         "leave them out"),
    Slip("headers that are names of Celery's own",
         _headers(is_eager=True, called_directly=True, hostname=5, delivery_info=5, properties=5, run=5),
         ANSWERED, "", "leave them out"),
    Slip("no `correlation_id`", _properties(correlation_id=LEFT_OUT), ANSWERED, "", "nothing"),
    Slip("nothing in `properties` but `body_encoding`",
         _properties(**dict.fromkeys(
             ("correlation_id", "reply_to", "delivery_mode", "delivery_info", "priority", "delivery_tag"),
         LEFT_OUT)),
         ANSWERED, "", "nothing"),
    Slip("`reply_to`", _properties(reply_to="shop.replies"), ANSWERED, "",
         "leave it out: nobody replies there"),
    Slip("`ignore_result` false", _headers(ignore_result=False), ANSWERED, "", "nothing: no result is kept"),
)  # fmt: skip

OPTIONS: Final = (
    Slip("`expires` that is over", _headers(expires=_ahead(-60)), ANSWERED, "", _NONE),
    Slip("`expires` that is no time", _headers(expires="never"), "invalid_task", "invalid expires value",
         _NONE),
    Slip("`eta` tomorrow", lambda shop: shop.envelope(headers={"eta": _ahead(86_400)}), ANSWERED, "",
         "leave it out: beyond two minutes it does nothing"),
    Slip("`eta` that is over", _headers(eta=_ahead(-60)), ANSWERED, "", "leave it out"),
    Slip("`eta` that is no time", _headers(eta="soon"), "invalid_task", "invalid ETA value", "leave it out"),
    Slip("`countdown=1` of Celery", _celery(countdown=1), ANSWERED, "", "leave it out: it eats of the 30 s"),
    Slip("`priority` in `properties`", _properties(priority=9), ANSWERED, "", _NONE),
    Slip("`priority` as text", _properties(priority="high"), ANSWERED, "", _NONE),
    Slip("`priority=9` of Celery, which puts it onto a list of its own", _celery(priority=9), ANSWERED, "",
         "leave it out: it comes to its queue up to 10 s late; log `entries_moved`"),
    Slip("a callback (`link`)", _embedded(callbacks=[{"task": "shop.paid"}]), "invalid_task",
         "callbacks, chains and chords are not supported", _EACH),
    Slip("a chain of Celery", _chain, "invalid_task", "callbacks, chains and chords are not supported",
         _EACH),
    Slip("a chord", _embedded(chord={"task": "shop.paid"}), "invalid_task",
         "callbacks, chains and chords are not supported", _EACH),
    Slip("a group of Celery", _group, ANSWERED, "", "nothing: each of it is settled"),
    Slip("Celery's message protocol 1", _protocol_1, ANSWERED, "", "nothing: it is taken, too"),
    Slip("`cashback.retry` for the queue", _in_envelope(queue=RETRY_QUEUE), ANSWERED, "",
         f"name `{QUEUE}`: there it is ahead of retries"),
    Slip("no queue with Celery: the list `celery`", _celery(queue=LEFT_OUT), NAMED, "celery", _PLAIN),
    Slip("the list `Cashback`", _in_envelope(queue="Cashback"), NAMED, "Cashback",
         f"name `{QUEUE}`, in lower case"),
    Slip(f"the list `{TASK_NAME}`", _in_envelope(queue=TASK_NAME), NAMED, TASK_NAME,
         f"that is the task: name the queue, `{QUEUE}`"),
    Slip("the list `cashback-retry`", _in_envelope(queue="cashback-retry"), NAMED, "cashback-retry",
         f"name `{QUEUE}`"),
)  # fmt: skip
