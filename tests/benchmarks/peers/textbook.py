"""The textbook worker: what Celery's, SQLAlchemy's and httpx's guides show, put together.

A late-acknowledged task with `autoretry_for` and backoff; one ORM session; the unique key of the payment
against repeats; a new httpx client for the call; the acknowledgement noted on the payment. It is given the
verified data (its receiver has verified it, and it does not again), keeps no receipts, no deadline and no
cut-off: it does less than the others. `celery --app tests.benchmarks.peers.textbook worker -E`, with threads
or prefork and as many of them as is best; SQLAlchemy's pool is as large, no result is kept, Celery's prefetch
is its default.
"""

import os
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

import httpx
from celery import Celery
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from tests.benchmarks.peers.textbook_app import TASK, new_app
from tests.benchmarks.peers.textbook_books import Account, Entry, Payment, house_id, sessions

ACCEPT_PATH: Final = "/mis-api/api/v2/cashback-payments/accept"
_ACCEPT_SECONDS: Final = 5.0


@cache
def create_app() -> Celery:
    """Build the worker's app."""
    app = new_app(os.environ["CASHBACK_REDIS_URL"])
    options: dict[str, Any] = {
        "name": TASK,
        "acks_late": True,
        "autoretry_for": (httpx.HTTPError, OperationalError, IntegrityError),
        "retry_backoff": True,
        "max_retries": 5,
        "shared": False,
    }

    @app.task(**options)  # type: ignore[untyped-decorator]  # Celery has no types
    def settle_cashback(data: dict[str, Any]) -> None:
        """Pay one cashback out and tell BETCORE."""
        with sessions()() as session:
            payment, code = _pay(session, data)
            send_accept(data, payment, code)
            if payment is not None:
                payment.accepted_at = datetime.now(UTC).replace(tzinfo=None)
            session.commit()

    return app


def _pay(session: Session, data: dict[str, Any]) -> tuple[Payment | None, int]:
    """Return the payment and the ErrorCode for BETCORE; the payment is committed."""
    key = {"cashback_id": data["CashbackId"], "transaction_type": data["TransactionType"]}
    payment = session.scalars(select(Payment).filter_by(**key)).one_or_none()
    if payment is not None:
        return payment, 200 if payment.accepted_at is None else 103804
    # Locked, so that no other payment changes the balance in between.
    locked = select(Account).filter_by(user_id=data["PartnerUserId"]).with_for_update()
    account = session.scalars(locked).one_or_none()
    if account is None:
        return None, 102145
    if account.status != "active":
        return None, 103779
    amount = Decimal(data["Amount"])
    account.balance += amount
    payment = Payment(
        **key,
        account=account,
        amount=amount,
        tax_amount=Decimal(data.get("TaxAmount") or 0),
        entries=[Entry(account_id=account.id, amount=amount), Entry(account_id=house_id(), amount=-amount)],
    )
    session.add(payment)
    session.commit()
    return payment, 200


def send_accept(data: dict[str, Any], payment: Payment | None, code: int) -> None:
    """Tell BETCORE; raises httpx.HTTPError where it does not acknowledge with an HTTP status of success."""
    value = {**data, "PartnerTransactionId": f"{payment.cashback_id}-{payment.id}" if payment else None}
    headers = {"Authorization": f"Bearer {os.environ['CASHBACK_BEARER_TOKEN']}"}
    with httpx.Client(timeout=_ACCEPT_SECONDS, headers=headers) as client:
        body = {"ErrorCode": code, "Message": "Success" if code == 200 else "Error", "Value": value}
        client.post(os.environ["CASHBACK_BETCORE_URL"] + ACCEPT_PATH, json=body).raise_for_status()


def __getattr__(name: str) -> Celery:
    if name in {"app", "celery"}:
        return create_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
