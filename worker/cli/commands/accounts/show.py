"""`cashback accounts show`."""

from typing import TYPE_CHECKING, Final

import click

from worker.cli.printing.blocks import Block, moment, print_blocks
from worker.cli.printing.output import as_json_option, major, print_document, print_table

if TYPE_CHECKING:
    from worker.cli.queries.accounts import Account, AccountEntry

_MAX_ENTRIES: Final = 1_000


@click.command("show")
@click.argument("user_id")
@click.option(
    "--limit",
    type=click.IntRange(1, _MAX_ENTRIES),
    default=20,
    show_default=True,
    help="How many entries, newest first.",
)
@as_json_option
def show(*, user_id: str, limit: int, as_json: bool) -> None:
    """Show the account of USER_ID and its latest entries.

    JSON: {"user_id", "account_id", "currency", "status", "balance", "balance_minor", "created_at",
    "entries": [{"entry_id", "transaction_id", "kind", "cashback_id", "transaction_type", "amount",
    "amount_minor", "adjustment_key", "adjustment_reason", "created_at"}]}; kind is payout, cancel, opening or
    adjustment. The last two have no cashback_id, and an adjustment alone has a key and a reason.
    """
    from worker.cli.queries.accounts import read_account
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        account, entries = read_account(connection, user_id, limit=limit)
    if as_json:
        print_document(_document(account, entries))
    else:
        _print_tables(account, entries)


def _document(account: "Account", entries: "tuple[AccountEntry, ...]") -> dict[str, object]:
    return {
        "user_id": account.user_id,
        "account_id": account.account_id,
        "currency": account.currency,
        "status": account.status,
        "balance": major(account.balance_minor, account.exponent),
        "balance_minor": account.balance_minor,
        "created_at": account.created_at,
        "entries": [
            {
                "entry_id": entry.entry_id,
                "transaction_id": entry.transaction_id,
                "kind": entry.kind,
                "cashback_id": entry.cashback_id,
                "transaction_type": entry.transaction_type,
                "amount": major(entry.amount_minor, account.exponent),
                "amount_minor": entry.amount_minor,
                "adjustment_key": entry.adjustment_key,
                "adjustment_reason": entry.adjustment_reason,
                "created_at": entry.created_at,
            }
            for entry in entries
        ],
    }


def _print_tables(account: "Account", entries: "tuple[AccountEntry, ...]") -> None:
    print_table(
        f"Account of {account.user_id}",
        ("account", "currency", "status", "balance", "minor units", "opened"),
        [
            (
                account.account_id,
                account.currency,
                account.status,
                major(account.balance_minor, account.exponent),
                account.balance_minor,
                account.created_at,
            )
        ],
    )
    print_blocks("Entries, newest first", [_block(account, entry) for entry in entries])


def _block(account: "Account", entry: "AccountEntry") -> Block:
    sign = "+" if entry.amount_minor > 0 else ""
    what = (
        ""
        if entry.cashback_id is None
        else f"  CashbackId {entry.cashback_id}, type {entry.transaction_type}"
    )
    head = (
        f"{entry.entry_id}  {moment(entry.created_at)}  {entry.kind}  "
        f"{sign}{major(entry.amount_minor, account.exponent)}  transaction {entry.transaction_id}{what}"
    )
    return Block(head, [] if entry.why is None else [entry.why], style="")
