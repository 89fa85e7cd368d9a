"""What names a cashback or an event on the command line."""

from typing import Any, Final
from uuid import UUID

import click

# MAX_CASHBACK_ID of the contract, which would bring pydantic along.
CASHBACK_ID: Final = click.IntRange(1, 2**63 - 1)


class EventOrCashback(click.ParamType["int | UUID"]):
    """A CashbackId, which is a number, or an event id, which is a UUID."""

    name = "id"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - the signature of click's method
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int | UUID:
        """Return an int for a CashbackId."""
        text = str(value)
        if text.lstrip("-").isdecimal():
            return int(CASHBACK_ID.convert(int(text), param, ctx))
        try:
            return UUID(text)
        except ValueError:
            self.fail(f"{text!a} is neither a CashbackId (a number) nor an event id (a UUID)", param, ctx)
