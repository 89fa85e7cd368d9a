"""How the intake stands, as a test says."""

from datetime import UTC, datetime

from producer.copies.errors import CopyFailed
from producer.copies.receipts.connection import IntakeState

UNTIL = datetime(2026, 11, 26, 12, 20, tzinfo=UTC)


class Intake:
    """An intake that is open until it is told otherwise."""

    def __init__(self) -> None:
        self.state: IntakeState | None = IntakeState(None, 0.0, None, None)

    def paused(self, seconds_left: float) -> None:
        """Have somebody close it."""
        self.state = IntakeState(UNTIL, seconds_left, "anna@desk", "new disks")

    def resumed(self) -> None:
        """Have somebody open it."""
        self.state = IntakeState(None, 0.0, "bob@desk", "they are in")

    def away(self) -> None:
        """Let it not be known."""
        self.state = None

    async def intake(self, *, timeout_seconds: float) -> IntakeState:
        """Return how it stands."""
        assert timeout_seconds > 0
        if self.state is None:
            raise CopyFailed("PostgreSQL is away")
        return self.state
