"""`cashback accounts adjust`, `adjustments`, `approve` and `reject`: corrections of a balance."""

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import click

from worker.cli.printing.output import as_json_option, print_document
from worker.cli.shared.reason import printable, reason_option

if TYPE_CHECKING:
    from worker.accounts.corrections import Adjusted

_MAX_ADJUSTMENTS: Final = 1_000
_MAX_KEY_CHARS: Final = 100
# The ledger's own limits are narrower; this one keeps what is typed in the bounds of exact decimals.
_AMOUNT: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,4})?")


class _Amount(click.ParamType[Decimal]):
    name = "amount"

    def convert(
        self, value: object, parameter: click.Parameter | None, context: click.Context | None
    ) -> Decimal:
        text = str(value)
        if not _AMOUNT.fullmatch(text) or not Decimal(text):
            self.fail(f"{text!r} is no amount such as 5.00 or -5.00, in major units", parameter, context)
        return Decimal(text)


class _Key(click.ParamType[str]):
    name = "key"

    def convert(
        self, value: object, _parameter: click.Parameter | None, _context: click.Context | None
    ) -> str:
        return printable(str(value), _MAX_KEY_CHARS)


# Or click would take -5.00 for an option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("user_id")
@click.argument("amount", type=_Amount())
@reason_option()
@click.option(
    "--key", type=_Key(), required=True, help="The adjustment's own name: the same one is done once."
)
@as_json_option
def adjust(*, user_id: str, amount: Decimal, reason: str, key: str, as_json: bool) -> None:
    """Add AMOUNT to the balance of USER_ID, or take it where AMOUNT is negative; in major units.

    It is posted at once as a transaction of its own kind. Above a limit (CASHBACK_ADJUST_LIMIT, and
    CASHBACK_ADJUST_DAILY_LIMIT in a day; `cashback migrate` sets them) it is put on record, and a second
    person posts it by `cashback accounts approve KEY`. Given again with the same key it changes nothing and
    says how it stands; with the key of another user or amount it is refused.

    JSON: {"outcome", "key", "user_id", "state", "amount", "amount_minor", "currency", "transaction_id",
    "balance", "balance_minor"}; outcome is posted, asked (a second person has to approve it) or stands (it
    was there before), state is open or posted.
    """
    from worker.accounts.corrections import Acting
    from worker.accounts.corrections import adjust as adjust_account
    from worker.cli.shared.database import QUERY_SECONDS, open_database
    from worker.cli.shared.person import person

    acting = Acting(person=person(), reason=reason)
    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        adjusted = adjust_account(connection, key, user_id, amount, acting)
    _print_adjusted(adjusted, as_json=as_json)


@click.command()
@click.argument("key", type=_Key())
@reason_option()
@as_json_option
def approve(*, key: str, reason: str, as_json: bool) -> None:
    """Post the adjustment KEY that waits for a second person, as that person.

    Who asked for it cannot: it takes another user of the database, or another person where
    CASHBACK_ADJUST_APPROVER says that this is enough.

    JSON: as `cashback accounts adjust` has it; outcome is posted or stands.
    """
    _decide(key, reason=reason, approves=True, as_json=as_json)


@click.command()
@click.argument("key", type=_Key())
@reason_option()
@as_json_option
def reject(*, key: str, reason: str, as_json: bool) -> None:
    """Let go of the adjustment KEY that waits for a second person: nothing is posted, its key is used up.

    JSON: as `cashback accounts adjust` has it; outcome is rejected or stands.
    """
    _decide(key, reason=reason, approves=False, as_json=as_json)


@click.command("adjustments")
@click.option("--open", "only_open", is_flag=True, help="Only what waits for a second person.")
@click.option("--user", "user_id", help="Only those of this user.")
@click.option(
    "--limit",
    type=click.IntRange(1, _MAX_ADJUSTMENTS),
    default=50,
    show_default=True,
    help="How many adjustments.",
)
@as_json_option
def list_adjustments(*, only_open: bool, user_id: str | None, limit: int, as_json: bool) -> None:
    """List adjustments, newest first: who asked for them, who decided, and why; and what one person may do.

    JSON: {"adjustments": [{"key", "user_id", "state", "amount", "amount_minor", "currency",
    "transaction_id", "reason", "asked_at", "asked_by", "asked_person", "decided_at", "decided_by",
    "decided_person"}], "more", "rules": {"adjust_limit", "adjust_daily_limit", "approver", "may_overdraw"}};
    decided_by is null where it was within the limits, more says whether there are more than --limit, and
    rules are those that stand.
    """
    from worker.cli.printing.adjustments import page_document, print_adjustments
    from worker.cli.queries.adjustments import read_adjustments
    from worker.cli.shared.database import QUERY_SECONDS, open_database

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        page = read_adjustments(connection, only_open=only_open, user_id=user_id, limit=limit)
    if as_json:
        print_document(page_document(page))
    else:
        print_adjustments(page)


def _decide(key: str, *, reason: str, approves: bool, as_json: bool) -> None:
    from worker.accounts.corrections import Acting, decide
    from worker.cli.shared.database import QUERY_SECONDS, open_database
    from worker.cli.shared.person import person

    with open_database(timeout_seconds=QUERY_SECONDS) as connection:
        adjusted = decide(connection, key, Acting(person=person(), reason=reason), approves=approves)
    _print_adjusted(adjusted, as_json=as_json)


def _print_adjusted(adjusted: "Adjusted", *, as_json: bool) -> None:
    from worker.cli.printing.adjustments import adjusted_document, adjusted_sentence

    if as_json:
        print_document(adjusted_document(adjusted))
    else:
        click.echo(adjusted_sentence(adjusted))
