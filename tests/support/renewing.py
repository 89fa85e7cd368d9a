"""A source of access tokens that has another one where BETCORE rejected the last."""

from worker.domain.deadline import Deadline


class Renewing:
    """Gives out `name`-1, `name`-2 and so on."""

    def __init__(self, name: str = "token") -> None:
        self._name = name
        self._number = 1

    async def bearer(self, deadline: Deadline) -> str:  # noqa: ARG002 - it never waits
        """Return the token of now."""
        return f"{self._name}-{self._number}"

    def rejected(self, bearer: str) -> bool:  # noqa: ARG002 - it is the token of now
        """Have another one."""
        self._number += 1
        return True

    def close(self) -> None:
        """There is nothing to close."""
