"""Tokens with keys that nobody knows hold few threads, however slow BETCORE is."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from deploy.local.processes import wait_until
from deploy.local.simulator.protocol.paths import VERIFY_PATH
from producer.protocol.errors import KeysUnavailable, UnknownKey
from producer.protocol.verifier import Verifier
from tests.support.betcore import Endpoints, signer
from tests.support.verifiers import AT, NOW, verifier_of


@dataclass
class HangingVerify(Endpoints):
    """Endpoints without keys, whose Verify answers when it is let go of."""

    let_go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answer = super().__call__(environ, start_response)
        if environ["PATH_INFO"] == VERIFY_PATH:
            self.let_go.wait(120)
        return answer


def verify(verifier: Verifier, key: int) -> None:
    verifier.verify(signer(key).token(at=AT), at=NOW)


def test_while_one_waits_for_an_unknown_key_others_come_later_and_known_keys_are_verified(
    betcore: Endpoints,
) -> None:
    verifier = verifier_of(betcore, lookups_at_once=1)
    betcore.gate = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(verify, verifier, 2)
        wait_until(lambda: betcore.fetches == 2, what="the key is fetched", timeout_seconds=120)

        for stranger in range(3, 20):
            with pytest.raises(KeysUnavailable, match="looked for later"):
                verify(verifier, stranger)
        verify(verifier, 1)
        still_waits = not waiting.done()
        betcore.gate.set()

        assert still_waits
        with pytest.raises(UnknownKey):
            waiting.result(timeout=120)
    # Its place is free again.
    with pytest.raises(UnknownKey):
        verify(verifier, 2)


def test_who_waits_for_the_verify_endpoint_has_a_place_as_well() -> None:
    betcore = HangingVerify()
    betcore.publish(signer(1))
    betcore.answer_verify(200)
    verifier = verifier_of(betcore, fallback=True, lookups_at_once=1)
    betcore.keys = (503, b"")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(verify, verifier, 2)
        wait_until(lambda: len(betcore.asked) == 1, what="BETCORE is asked", timeout_seconds=120)

        with pytest.raises(KeysUnavailable, match="looked for later"):
            verify(verifier, 3)
        verify(verifier, 1)
        betcore.let_go.set()

        waiting.result(timeout=120)


def test_without_any_key_nobody_is_held_up_and_all_may_wait() -> None:
    betcore = HangingVerify()
    betcore.answer_verify(200)
    verifier = verifier_of(betcore, fetched=False, fallback=True, lookups_at_once=1)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(verify, verifier, key) for key in (1, 2, 3)]
        wait_until(lambda: len(betcore.asked) == 3, what="BETCORE is asked by all", timeout_seconds=120)
        betcore.let_go.set()

        for each in waiting:
            each.result(timeout=120)
