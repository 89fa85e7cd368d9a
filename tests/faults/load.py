"""A steady, bounded load of makes, drawn from a seed and sent through the simulator."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.faults.errors import LoadFailed

USERS: Final = 10
PAYOUT: Final = 1
CANCEL: Final = -1
MAX_IN_FLIGHT: Final = 64
MAX_SUBMISSIONS: Final = 6
_RESUBMIT_SECONDS: Final = 0.4
_CANCEL_AFTER_SECONDS: Final = 0.5
_TIMEOUT_SECONDS: Final = 30.0
# Less than the simulator's 5 s: a connection that it is about to close must not be used again.
_KEEPALIVE_SECONDS: Final = 2.0
_MAX_AMOUNT_MINOR: Final = 50_000
# Shares of all makes: what is not of these is a payout that stands alone.
_SHARES: Final = {"same_token": 0.05, "new_token": 0.05, "cancel": 0.08, "blocked": 0.02, "unknown": 0.02}
_BLOCKED: Final = "blocked"
_NOBODY: Final = "nobody"
_NOT_CREDITABLE: Final = (f"-{_BLOCKED}", f"-{_NOBODY}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadMake:
    """One make: when to send it, in seconds from the beginning, and what; `again` sends that one's token."""

    number: int
    at_seconds: float
    order: Mapping[str, object]
    again: int | None = None


@dataclass(slots=True, kw_only=True)
class LoadResult:
    """What the receiver said. `received`: digests of the tokens it answered with 200; `refused`: 503s."""

    received: set[str] = field(default_factory=set)
    submissions: int = 0
    refused: int = 0
    turned_away: int = 0


def accounts_csv(prefixes: Sequence[str]) -> str:
    """Return the accounts that loads with these prefixes pay to, for `cashback accounts import`."""
    lines = ["user_id,currency,status,balance"]
    for prefix in prefixes:
        lines += [f"{prefix}-{number},EUR,active,0" for number in range(USERS)]
        lines.append(f"{prefix}-{_BLOCKED},EUR,blocked,0")
    return "\n".join(lines) + "\n"


def plan_load(
    rng: random.Random, *, prefix: str, first_cashback_id: int, makes: int, rate_per_second: float
) -> tuple[LoadMake, ...]:
    """Draw a load: the same `rng` gives the same makes at the same moments. Pure."""
    planned: list[LoadMake] = []
    payouts: list[LoadMake] = []
    for number in range(makes):
        at_seconds = number / rate_per_second
        earlier = [make for make in payouts[-50:] if make.at_seconds <= at_seconds - _CANCEL_AFTER_SECONDS]
        kind = rng.choices([*_SHARES, "payout"], [*_SHARES.values(), 1 - sum(_SHARES.values())])[0]
        first = rng.choice(earlier) if earlier else None
        if kind in {"same_token", "new_token", "cancel"} and first is not None:
            changed = {"transaction_type": CANCEL} if kind == "cancel" else {}
            again = first.number if kind == "same_token" else None
            make = LoadMake(
                number=number, at_seconds=at_seconds, order={**first.order, **changed}, again=again
            )
        else:
            user = {"blocked": _BLOCKED, "unknown": _NOBODY}.get(kind, str(rng.randrange(USERS)))
            order = {
                "cashback_id": first_cashback_id + number,
                "user_id": f"{prefix}-{user}",
                "transaction_type": PAYOUT,
                "amount": f"{rng.randrange(1, _MAX_AMOUNT_MINOR) / 100:.2f}",
            }
            make = LoadMake(number=number, at_seconds=at_seconds, order=order)
            payouts.append(make)
        planned.append(make)
    return tuple(planned)


def all_creditable(planned: Sequence[LoadMake]) -> tuple[LoadMake, ...]:
    """Leave out whom no payout can be credited to: a cancel there waits for one until its cut-off. Pure."""
    return tuple(make for make in planned if not str(make.order["user_id"]).endswith(_NOT_CREDITABLE))


class Load:
    """Sends one plan in a thread of its own, whatever becomes of the makes before: an open loop.

    As BETCORE does, it submits a make again, in a new token, when the receiver did not say 200. At most
    MAX_IN_FLIGHT are under way; where the receiver is too slow for that, the plan is late.
    """

    def __init__(
        self,
        makes: Sequence[LoadMake],
        *,
        simulator_url: str,
        resubmits: bool = True,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.result = LoadResult()
        self._makes = makes
        self._simulator_url = simulator_url
        self._submissions = MAX_SUBMISSIONS if resubmits else 1
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        self._error: BaseException | None = None
        self._make_ids: dict[int, asyncio.Future[int]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    @property
    def is_sending(self) -> bool:
        """Whether makes are still under way."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send nothing new."""
        self._stopping.set()

    def join(self) -> LoadResult:
        """Wait for the last reply; raises LoadFailed or httpx.HTTPError where the simulator failed."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.result

    def _run(self) -> None:
        try:
            asyncio.run(self._send_all())
        except BaseExceptionGroup as errors:
            self._error = errors.exceptions[0]
        except (httpx.HTTPError, LoadFailed) as error:
            self._error = error

    async def _send_all(self) -> None:
        begun = self._monotonic()
        slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            clients = _Clients(stack, base_url=self._simulator_url, timeout_seconds=self._timeout_seconds)
            for make in self._makes:
                await asyncio.sleep(max(0.0, begun + make.at_seconds - self._monotonic()))
                await slots.acquire()
                if self._stopping.is_set():
                    return
                self._make_ids[make.number] = asyncio.get_running_loop().create_future()
                group.create_task(self._submit(clients, make)).add_done_callback(lambda _: slots.release())

    async def _submit(self, clients: "_Clients", make: LoadMake) -> None:
        order = dict(make.order)
        if make.again is not None:
            order = {"same_token_as": await self._make_ids[make.again]}
        for _ in range(self._submissions):
            async with clients.one() as client:
                reply = await self._post(client, order)
            self.result.submissions += 1
            if reply["http_status"] == httpx.codes.OK:
                self.result.received.add(reply["token_sha256"])
                self._make_ids[make.number].set_result(reply["make_id"])
                return
            self.result.refused += reply["http_status"] == httpx.codes.SERVICE_UNAVAILABLE
            order = dict(make.order)
            await asyncio.sleep(_RESUBMIT_SECONDS)
        self.result.turned_away += 1
        self._make_ids[make.number].set_result(reply["make_id"])

    @staticmethod
    async def _post(client: httpx.AsyncClient, order: dict[str, object]) -> dict[str, Any]:
        reply = await client.post("/sim/makes", json=order)
        if reply.status_code != httpx.codes.OK:
            raise LoadFailed(f"the simulator said {reply.status_code}: {reply.text}")
        answer: dict[str, Any] = reply.json()
        return answer


class _Clients:
    """HTTP clients with one connection each: one client's pool takes time for each connection that it has."""

    def __init__(self, stack: AsyncExitStack, *, base_url: str, timeout_seconds: float) -> None:
        self._stack = stack
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._free: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client that nobody else uses inside the block; the last one used is the first one given."""
        client = self._free.pop() if self._free else await self._stack.enter_async_context(self._new())
        yield client
        self._free.append(client)

    def _new(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=1, keepalive_expiry=_KEEPALIVE_SECONDS)
        return httpx.AsyncClient(
            base_url=self._base_url,
            timeout=self._timeout_seconds,
            limits=limits,
            trust_env=False,
            # Plain HTTP on this machine: to load the certificates for each client would take long.
            verify=False,  # noqa: S501 -- same
        )
