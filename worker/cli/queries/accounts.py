"""What an operator looks at of an account: how it stands, and its latest entries."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from worker.cli.queries.snapshot import snapshot
from worker.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEntry:
    """One entry of an account; `amount_minor` is positive where it adds to the account."""

    entry_id: int
    transaction_id: int
    kind: str
    cashback_id: int | None
    transaction_type: int | None
    amount_minor: int
    adjustment_key: str | None
    adjustment_reason: str | None
    created_at: datetime

    @property
    def why(self) -> str | None:
        """Key and reason of an adjustment."""
        return None if self.adjustment_key is None else f"{self.adjustment_key}: {self.adjustment_reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user's account; the balance in minor units, of which `exponent` digits make one major unit."""

    account_id: int
    user_id: str
    currency: str
    exponent: int
    status: str
    balance_minor: int
    created_at: datetime


def read_account(
    connection: psycopg.Connection[Any], user_id: str, *, limit: int
) -> tuple[Account, tuple[AccountEntry, ...]]:
    """Return a user's account and its latest entries, at most `limit`, newest first. Raises NotFound."""
    with snapshot(connection), connection.cursor(row_factory=class_row(Account)) as accounts:
        account = accounts.execute(
            "SELECT account_id, user_id, accounts.currency, exponent, status, balance_minor, created_at "
            "FROM accounts JOIN currencies USING (currency) WHERE user_id = %s",
            (user_id,),
        ).fetchone()
        if account is None:
            raise NotFound(f"no account of user {user_id!a} is on record")
        with connection.cursor(row_factory=class_row(AccountEntry)) as entries:
            entries.execute(
                "SELECT entry_id, transaction_id, kind, cashback_id, transaction_type, "
                "entries.amount_minor, adjustment_key, adjustments.reason AS adjustment_reason, created_at "
                "FROM entries JOIN transactions USING (transaction_id) "
                "LEFT JOIN adjustments USING (transaction_id) "
                "WHERE entries.account_id = %s ORDER BY entry_id DESC LIMIT %s",
                (account.account_id, limit),
            )
            return account, tuple(entries)
