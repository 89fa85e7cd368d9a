"""Events, transactions and entries, as JSON documents and as tables."""

from dataclasses import asdict

import click

from worker.cli.printing.output import major, print_table
from worker.cli.queries.events import Cashback, Event, EventPage, PostedEntry, Transaction
from worker.domain.settlement import State, partner_transaction_id

_OPEN_STATES = frozenset({State.RECEIVED, State.SETTLED})


def page_document(page: EventPage) -> dict[str, object]:
    """Return the JSON of `cashback list`; its help describes it."""
    return {"events": [_event_document(event) for event in page.events], "next_after": page.next_after}


def cashback_document(cashback: Cashback) -> dict[str, object]:
    """Return the JSON of `cashback show`; its help describes it."""
    return {
        "cashback_id": cashback.cashback_id,
        "events": [_event_document(event) for event in cashback.page.events],
        "more_events": cashback.page.next_after is not None,
        "transactions": [
            _transaction_document(transaction, _entries_of(transaction, cashback))
            for transaction in cashback.transactions
        ],
    }


def print_page(page: EventPage) -> None:
    """Print a page of events as a table, and how to get the next one."""
    print_table(
        "Events, newest first",
        (
            "event",
            "CashbackId",
            "state",
            "code",
            "received",
            "producer",
            "attempts",
            "unconfirmed",
            "last error",
        ),
        [
            (
                event.event_id,
                event.cashback_id,
                event.state,
                event.code,
                event.received_at,
                event.producer,
                event.attempts,
                event.unconfirmed,
                event.last_error,
            )
            for event in page.events
        ],
    )
    if page.next_after is not None:
        click.echo(f"There are more: --after {page.next_after}")


def print_cashback(cashback: Cashback) -> None:
    """Print the events of a cashback, then each transaction with its entries."""
    print_table(
        f"Events of CashbackId {cashback.cashback_id}, newest first",
        (
            "event", "producer", "state", "code", "transaction", "attempts",
            "unconfirmed", "confirmed by", "received", "settled", "closed", "deadline", "last error",
        ),
        [
            (
                event.event_id, event.producer, event.state, event.code, event.transaction_id, event.attempts,
                event.unconfirmed, event.confirmed_by, event.received_at, event.settled_at, event.closed_at,
                event.deadline_at, event.last_error,
            )
            for event in cashback.page.events
        ],
    )  # fmt: skip
    if cashback.page.next_after is not None:
        click.echo("There are older events: raise --limit")
    for transaction in cashback.transactions:
        _print_transaction(transaction, _entries_of(transaction, cashback))


def _print_transaction(transaction: Transaction, entries: list[PostedEntry]) -> None:
    reverses = f", reverses {transaction.reverses}" if transaction.reverses else ""
    print_table(
        f"Transaction {transaction.transaction_id}: {transaction.kind} of "
        f"{major(transaction.amount_minor, transaction.exponent)} {transaction.currency} "
        f"(tax {major(transaction.tax_minor, transaction.exponent)}) for user {transaction.user_id}, "
        f"event {transaction.event_id}{reverses}",
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


def _event_document(event: Event) -> dict[str, object]:
    document = asdict(event)
    if event.state not in _OPEN_STATES:
        document["next_attempt_at"] = None
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
