"""What a person may do with balances, as `cashback migrate` writes it into the database. Decision 51."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRules:
    """The rules of adjustments; limits in major units, of whichever currency the account is in.

    `approver`, who is a second person, is `database_user` or `person`: see tables/0007_corrections.sql.
    """

    adjust_limit: Decimal
    adjust_daily_limit: Decimal
    approver: str
    may_overdraw: bool
