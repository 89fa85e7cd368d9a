"""What the peers' processes find in their environment; the settlement table sets all of it."""

import os
from dataclasses import dataclass
from typing import Final, Self

CONCURRENCY: Final = "PEER_CONCURRENCY"
MODE: Final = "PEER_MODE"
QUEUE: Final = "peer"
TASK: Final = "settle"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSettings:
    """Addresses and limits of one peer process.

    `concurrency` is how many jobs it runs at once, `mode` which of its own ways to run them it takes.
    """

    redis_url: str
    database_url: str
    betcore_url: str
    bearer: str
    concurrency: int
    mode: str

    @classmethod
    def from_environment(cls) -> Self:
        """Read them; raises KeyError for one that is missing."""
        return cls(
            redis_url=os.environ["CASHBACK_REDIS_URL"],
            database_url=os.environ["CASHBACK_DATABASE_URL"],
            betcore_url=os.environ["CASHBACK_BETCORE_URL"],
            bearer=os.environ["CASHBACK_BEARER_TOKEN"],
            concurrency=int(os.environ[CONCURRENCY]),
            mode=os.environ[MODE],
        )


def application_name() -> str:
    """Return the name by which pg_stat_activity shows this process once it is ready to work."""
    return f"peer-{os.getpid()}"
