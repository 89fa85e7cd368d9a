"""Statements that would make the books wrong, and the protections that they run into."""

from tests.support.breaking import no_trigger

ENTRIES_BALANCE = no_trigger("entries_balance", "entries")


ENTRIES_APPEND_ONLY = no_trigger("entries_append_only", "entries")


TRANSACTIONS_APPEND_ONLY = no_trigger("transactions_append_only", "transactions")


HAVE_ENTRIES = no_trigger("transactions_have_entries", "transactions")


NEVER_DELETED = no_trigger("accounts_never_deleted", "accounts")


ADJUSTMENTS_NEVER_DELETED = no_trigger("adjustments_never_deleted", "adjustments")


ACCOUNTS_BEGIN = no_trigger("accounts_begin", "accounts")


ACCOUNTS_GUARD = no_trigger("accounts_guard", "accounts")


INSERT_ENTRIES = "INSERT INTO entries (transaction_id, account_id, amount_minor)"


EVENT = "'00000000-0000-8000-8000-000000000001'"


ANN = "(SELECT account_id FROM accounts WHERE user_id = 'ann')"


BOB = "(SELECT account_id FROM accounts WHERE user_id = 'bob')"


PAID = "(SELECT transaction_id FROM transactions WHERE cashback_id = 1 AND kind = 'payout')"


REVERSED = "(SELECT transaction_id FROM transactions WHERE cashback_id = 2 AND kind = 'payout')"


CANCELLED = "(SELECT transaction_id FROM transactions WHERE cashback_id = 2 AND kind = 'cancel')"


def house(kind: str, currency: str = "EUR") -> str:
    return f"(SELECT account_id FROM accounts WHERE kind = '{kind}' AND currency = '{currency}')"  # noqa: S608 - constants of this file


def posted(transaction: str, *lines: tuple[str, int]) -> tuple[str, ...]:
    """Make a transaction (its columns and values) with these entries, in one statement."""
    columns, values = transaction.split(" = ", 1)
    made = f"INSERT INTO transactions ({columns}) VALUES ({values}) RETURNING transaction_id"  # noqa: S608 - constants of this file
    lists = ", ".join(f"({account}, {amount_minor})" for account, amount_minor in lines)
    entries = f"SELECT transaction_id, account, amount FROM made, (VALUES {lists}) AS l (account, amount)"  # noqa: S608 - constants of this file
    return (f"WITH made AS ({made}) {INSERT_ENTRIES} {entries}",)


def more_entries(transaction: str) -> tuple[str, ...]:
    """Add balanced entries to a transaction, which must exist."""
    return (f"{INSERT_ENTRIES} VALUES ({transaction}, {ANN}, 5), ({transaction}, {house('cashback')}, -5)",)


def opening(*lines: tuple[str, int]) -> tuple[str, ...]:
    return posted(f"kind, account_id, amount_minor = 'opening', {ANN}, 1", *lines)


def paying(*lines: tuple[str, int], amount: int = 10, tax: int = 0, key: str = "9, 1") -> tuple[str, ...]:
    columns = "kind, cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor"
    return posted(f"{columns} = 'payout', {key}, {EVENT}, {ANN}, {amount}, {tax}", *lines)


def cancelling(
    *lines: tuple[str, int], amount: int = 1000, of: str = PAID, cashback_id: int = 1, account: str = ANN
) -> tuple[str, ...]:
    columns = "kind, cashback_id, transaction_type, event_id, account_id, amount_minor, reverses"
    return posted(f"{columns} = 'cancel', {cashback_id}, -7, {EVENT}, {account}, {amount}, {of}", *lines)


def adjusting(
    *lines: tuple[str, int], amount: int = 5, account: str = ANN, more: str = ""
) -> tuple[str, ...]:
    """Make an adjustment; `more` are further columns and their values, as `tax_minor = 1`."""
    column, _, value = more.partition(" = ")
    columns = "kind, account_id, amount_minor" + (f", {column}" if more else "")
    values = f"'adjustment', {account}, {amount}" + (f", {value}" if more else "")
    return posted(f"{columns} = {values}", *lines)


def bare_transaction(columns: str, values: str) -> tuple[str, ...]:
    return (f"INSERT INTO transactions ({columns}) VALUES ({values})",)  # noqa: S608 - constants of this file


EXACT_REVERSE = ((ANN, -1000), (house("cashback"), 1000))


ADJUSTED = ((ANN, 5), (house("adjustment"), -5))


INSERT_ACCOUNT = "INSERT INTO accounts (kind, user_id, currency, status, balance_minor) VALUES "
