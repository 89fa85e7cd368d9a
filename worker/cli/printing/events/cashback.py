"""One cashback or event: as a JSON document, and what it posted as tables."""

from dataclasses import asdict

from worker.cli.printing.events.listing import event_document
from worker.cli.printing.events.standing import standing_of
from worker.cli.printing.events.words import why
from worker.cli.printing.output import major, print_table
from worker.cli.queries.events.cashback import Cashback, PostedEntry, Transaction
from worker.cli.queries.events.listing import Event
from worker.domain.settlement import partner_transaction_id


def cashback_document(cashback: Cashback, *, attempts: bool) -> dict[str, object]:
    """Return the JSON of `cashback show`; its help describes it."""
    return {
        "cashback_id": cashback.cashback_id,
        "event_id": cashback.event_id,
        "standing": asdict(standing_of(cashback)),
        "events": [_event_document(event, cashback, attempts=attempts) for event in cashback.events],
        "more_events": cashback.more_events,
        "transactions": [
            _transaction_document(transaction, _entries_of(transaction, cashback))
            for transaction in cashback.transactions
        ],
    }


def print_transactions(cashback: Cashback) -> None:
    """Print each transaction with its entries."""
    for transaction in cashback.transactions:
        _print_transaction(transaction, _entries_of(transaction, cashback))


def _print_transaction(transaction: Transaction, entries: list[PostedEntry]) -> None:
    reverses = f", reverses {transaction.reverses}" if transaction.reverses else ""
    tax = major(transaction.tax_minor, transaction.exponent)
    print_table(
        f"Transaction {transaction.transaction_id}: {transaction.kind} of "
        f"{major(transaction.amount_minor, transaction.exponent)} {transaction.currency} (tax {tax}) "
        f"for user {transaction.user_id}{reverses}, by event {transaction.event_id}, for BETCORE "
        f"{partner_transaction_id(transaction.cashback_id, transaction.transaction_type)}",
        ("entry", "account", "kind", "user", "amount", "minor units"),
        [
            (
                entry.entry_id,
                entry.account_id,
                entry.account_kind,
                entry.user_id,
                major(entry.amount_minor, transaction.exponent),
                entry.amount_minor,
            )
            for entry in entries
        ],
    )


def _entries_of(transaction: Transaction, cashback: Cashback) -> list[PostedEntry]:
    return [entry for entry in cashback.entries if entry.transaction_id == transaction.transaction_id]


def _event_document(event: Event, cashback: Cashback, *, attempts: bool) -> dict[str, object]:
    document = event_document(event)
    document["why"] = why(event)
    document["replays"] = [
        {"ordered_at": replay.ordered_at, "person": replay.person, "reason": replay.reason}
        for replay in cashback.replays
        if replay.event_id == event.event_id
    ]
    if attempts:
        document["accepts"] = [
            {
                "sent_at": attempt.sent_at,
                "duration_ms": attempt.duration_ms,
                "status": attempt.status,
                "code": attempt.code,
                "worker": attempt.worker,
                "detail": attempt.detail,
            }
            for attempt in cashback.attempts
            if attempt.event_id == event.event_id
        ]
    return document


def _transaction_document(transaction: Transaction, entries: list[PostedEntry]) -> dict[str, object]:
    exponent = transaction.exponent
    return {
        "transaction_id": transaction.transaction_id,
        "partner_transaction_id": partner_transaction_id(
            transaction.cashback_id, transaction.transaction_type
        ),
        "kind": transaction.kind,
        "transaction_type": transaction.transaction_type,
        "event_id": transaction.event_id,
        "user_id": transaction.user_id,
        "currency": transaction.currency,
        "amount": major(transaction.amount_minor, exponent),
        "amount_minor": transaction.amount_minor,
        "tax": major(transaction.tax_minor, exponent),
        "tax_minor": transaction.tax_minor,
        "reverses": transaction.reverses,
        "created_at": transaction.created_at,
        "is_acknowledged": transaction.is_acknowledged,
        "entries": [
            {
                "entry_id": entry.entry_id,
                "account_id": entry.account_id,
                "account_kind": entry.account_kind,
                "user_id": entry.user_id,
                "amount": major(entry.amount_minor, exponent),
                "amount_minor": entry.amount_minor,
            }
            for entry in entries
        ],
    }
