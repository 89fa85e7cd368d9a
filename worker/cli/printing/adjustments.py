"""Adjustments, as JSON documents, as a sentence and as a list."""

from shlex import quote
from typing import TYPE_CHECKING

import click

from worker.cli.printing.blocks import Block, moment, print_blocks
from worker.cli.printing.output import major

if TYPE_CHECKING:
    from worker.accounts.corrections import Adjusted
    from worker.cli.queries.adjustments import Adjustment, AdjustmentPage

_STYLES = {"open": "bold yellow", "posted": "bold green", "rejected": "bold red"}


def adjusted_document(adjusted: "Adjusted") -> dict[str, object]:
    """Return the JSON of `cashback accounts adjust`, `approve` and `reject`; see its help."""
    return {
        "outcome": adjusted.outcome,
        "key": adjusted.key,
        "user_id": adjusted.user_id,
        "state": adjusted.state,
        "amount": major(adjusted.amount_minor, adjusted.exponent),
        "amount_minor": adjusted.amount_minor,
        "currency": adjusted.currency,
        "transaction_id": adjusted.transaction_id,
        "balance": major(adjusted.balance_minor, adjusted.exponent),
        "balance_minor": adjusted.balance_minor,
    }


def adjusted_sentence(adjusted: "Adjusted") -> str:
    """Say what was done, and what is to be done next."""
    amount = (
        f"{_signed(adjusted.amount_minor, adjusted.exponent)} {adjusted.currency} for {adjusted.user_id!a}"
    )
    balance = f"the balance is {major(adjusted.balance_minor, adjusted.exponent)} {adjusted.currency}"
    posted = f"transaction {adjusted.transaction_id}, {balance}"
    approve = f"a second person posts it: cashback accounts approve {quote(adjusted.key)} --reason …"
    if adjusted.outcome == "asked":
        return f"asked for: {amount} is above what one person may post now ({adjusted.allowed:f}); {approve}"
    if adjusted.outcome == "stands":
        how = {"open": f"it waits: {approve}", "posted": f"posted: {posted}", "rejected": "it was rejected"}
        return f"it stands already, nothing was changed: {amount}; {how[adjusted.state]}"
    return f"{adjusted.outcome}: {amount}; {posted if adjusted.outcome == 'posted' else balance}"


def _adjustment_document(adjustment: "Adjustment") -> dict[str, object]:
    return {
        "key": adjustment.key,
        "user_id": adjustment.user_id,
        "state": adjustment.state,
        "amount": major(adjustment.amount_minor, adjustment.exponent),
        "amount_minor": adjustment.amount_minor,
        "currency": adjustment.currency,
        "transaction_id": adjustment.transaction_id,
        "reason": adjustment.reason,
        "asked_at": adjustment.asked_at,
        "asked_by": adjustment.asked_by,
        "asked_person": adjustment.asked_person,
        "decided_at": adjustment.decided_at,
        "decided_by": adjustment.decided_by,
        "decided_person": adjustment.decided_person,
    }


def page_document(page: "AdjustmentPage") -> dict[str, object]:
    """Return the JSON of `cashback accounts adjustments`; its help describes it."""
    rules = page.rules
    return {
        "adjustments": [_adjustment_document(each) for each in page.adjustments],
        "more": page.more,
        "rules": {
            "adjust_limit": f"{rules.adjust_limit:f}",
            "adjust_daily_limit": f"{rules.adjust_daily_limit:f}",
            "approver": rules.approver,
            "may_overdraw": rules.may_overdraw,
        },
    }


def print_adjustments(page: "AdjustmentPage") -> None:
    """Print adjustments below each other, and the rules that stand."""
    print_blocks("Adjustments, newest first", [_block(each) for each in page.adjustments])
    if page.more:
        click.echo("There are more: raise --limit")
    rules = page.rules
    click.echo(
        f"One person may post {rules.adjust_limit:,f} at a time and {rules.adjust_daily_limit:,f} a day, in "
        f"each currency, {'also' if rules.may_overdraw else 'and not'} below zero; beyond it another "
        f"{rules.approver.replace('_', ' ')} has to approve."
    )


def _block(adjustment: "Adjustment") -> Block:
    amount = f"{_signed(adjustment.amount_minor, adjustment.exponent)} {adjustment.currency}"
    asked = f"asked {moment(adjustment.asked_at)} by {adjustment.asked_person} ({adjustment.asked_by})"
    lines = [f"{asked}: {adjustment.reason}"]
    if adjustment.decided_at is not None:
        who = (
            "within the limits"
            if adjustment.decided_by is None
            else f"by {adjustment.decided_person} ({adjustment.decided_by})"
        )
        what = f", transaction {adjustment.transaction_id}" if adjustment.transaction_id else ""
        lines.append(f"{adjustment.state} {moment(adjustment.decided_at)} {who}{what}")
    head = f"{adjustment.key}  {adjustment.state}  {amount}  {adjustment.user_id}"
    return Block(head, lines, _STYLES[adjustment.state])


def _signed(amount_minor: int, exponent: int) -> str:
    return f"{'+' if amount_minor > 0 else ''}{major(amount_minor, exponent)}"
