"""The operator's command on accounts, and the books that it changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.support.in_process import Ended, invoke
from tests.support.roles import as_role
from worker.schema.roles import OPERATOR

COUNT = (
    "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM adjustments), (SELECT count(*) FROM audit)"
)
Login = Callable[[], str]
"""Makes a login of a person; returns its URL."""


@dataclass(frozen=True)
class Desk:
    """The command as the operator runs it, and the books as the owner sees them."""

    database_url: str
    owner: psycopg.Connection

    @property
    def operator_url(self) -> str:
        return as_role(self.database_url, OPERATOR)

    def run(self, *arguments: str, person: str = "anna@desk", url: str | None = None) -> Ended:
        return invoke("accounts", *arguments, person=person, database_url=url or self.operator_url)

    def rules(
        self,
        limit: str = "100",
        *,
        daily: str = "1000",
        approver: str = "database_user",
        overdraft: bool = True,
    ) -> None:
        self.owner.execute(
            "SELECT set_correction_rules(%s, %s, %s, %s, 'the tests')", (limit, daily, approver, overdraft)
        )

    def counts(self) -> tuple[int, ...]:
        """Entries, adjustments and actions on record: what a refusal leaves as it is."""
        [counts] = self.owner.execute(COUNT).fetchall()
        return counts

    def actions(self, subject: str) -> list[tuple[Any, ...]]:
        return self.owner.execute(
            "SELECT action, person, reason, before, after FROM audit WHERE subject = %s ORDER BY audit_id",
            (subject,),
        ).fetchall()

    def balance(self, user_id: str) -> int:
        [(balance,)] = self.owner.execute(
            "SELECT balance_minor FROM accounts WHERE user_id = %s", (user_id,)
        ).fetchall()
        return int(balance)
