"""Which events a command is to look for, and whether an index can find them. Imports nothing that works."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from worker.domain.settlement import State

SUCCESS: Final = 200
_FEW_OF: Final = frozenset({State.RECEIVED, State.SETTLED, State.REFUSED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events to list. Times in UTC: received at `since` or later, before `until`.

    `error` is a text within the last error, capitals or not; `after` begins the page behind that event.
    """

    state: str | None = None
    unconfirmed: bool = False
    user_id: str | None = None
    cashback_id: int | None = None
    code: int | None = None
    producer: str | None = None
    transaction_type: int | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: UUID | None = None

    @property
    def fault(self) -> str | None:
        """Say what is missing, for the operator; None where each event that is read is likely one to show.

        Events are looked for by state and time, user, CashbackId, ErrorCode, or among the unconfirmed ones.
        All else is held against what these find, so it must not be everything.
        """
        alone = [
            name
            for name, value in (
                ("--producer", self.producer),
                ("--type", self.transaction_type),
                ("--error", self.error),
                ("--code 200", self.code == SUCCESS or None),
            )
            if value is not None
        ]
        if alone and not self._finds_few:
            return (
                f"{alone[0]} has no index of its own: give one of --since, --user, --cashback, "
                "--unconfirmed, a --code other than 200 or a --state other than answered with it"
            )
        if not (alone or self._finds_few or self.until or self.state):
            return (
                "say which events: --state or --unconfirmed, --user, --cashback, --code, --since or --until"
            )
        return None

    @property
    def _finds_few(self) -> bool:
        return (
            self.unconfirmed
            or self.state in _FEW_OF
            or self.code not in {None, SUCCESS}
            or not (self.user_id is None and self.cashback_id is None and self.since is None)
        )
