"""All checks, in the order in which they are run and shown."""

from worker.reconciliation.books import BOOKS
from worker.reconciliation.check import Check
from worker.reconciliation.receipts import RECEIPTS
from worker.reconciliation.statement_checks import STATEMENT


def checks_with(*, statement: bool) -> tuple[Check, ...]:
    """Return the checks of a run, with a statement or without one."""
    return (*BOOKS, *RECEIPTS, *(STATEMENT if statement else ()))
