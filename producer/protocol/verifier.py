"""From a token to verified claims: BETCORE signed it, and it was valid when it was received.

Tokens are JSON Web Tokens (RFC 7519) in compact form (RFC 7515, 3.1), signed with RS256. Decisions 2 and 34.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm

from producer.protocol.claims import ClaimRules, VerifiedToken
from producer.protocol.compact import CompactToken, read_compact
from producer.protocol.errors import (
    BadSignature,
    KeysFetchFailed,
    KeysUnavailable,
    LookupNeeded,
    NotVouchedFor,
    RefetchTooSoon,
    TooManyUnknownKeys,
    UnknownKey,
)
from producer.protocol.keys import KeySet
from producer.protocol.verify_endpoint import VerifyEndpoint, VerifyUnavailable

_RS256: Final = RSAAlgorithm(RSAAlgorithm.SHA256)


class Verifier:
    """Verifies tokens with BETCORE's published keys, and what they say by `rules`.

    `fallback` is asked while the keys cannot be had. `lookups_at_once`: as many threads may wait for an
    unknown key, while other keys are there; who comes then is told to come later. None: all of them.
    """

    def __init__(
        self,
        keys: KeySet,
        *,
        rules: ClaimRules,
        fallback: VerifyEndpoint | None = None,
        lookups_at_once: int | None = None,
    ) -> None:
        self._keys = keys
        self._rules = rules
        self._fallback = fallback
        self._lookups = None if lookups_at_once is None else threading.BoundedSemaphore(lookups_at_once)

    def verify(self, token: str, *, at: datetime) -> VerifiedToken:
        """Verify a token that was received at `at` (aware); raise a VerificationError where it is not good.

        Blocks while an unknown key is fetched or BETCORE is asked, so call it in a thread.
        """
        unverified = read_compact(token)
        known = self._keys.get(unverified.kid)
        if known is not None:
            check_signature(unverified, known)
            return self._rules.read(unverified.payload, at=at)
        with self._lookup():
            key = self._find_key(unverified.kid, may_block=True)
            if key is not None:
                check_signature(unverified, key)
            verified = self._rules.read(unverified.payload, at=at)
            if key is None:
                # Last: what the token's own claims rule out is not worth one of the few calls.
                self._ask(token)
        return verified

    def verify_with_known_keys(self, token: str, *, at: datetime) -> VerifiedToken:
        """Do as `verify`, but never block: raise LookupNeeded where that would."""
        unverified = read_compact(token)
        key = self._keys.get(unverified.kid) or self._find_key(unverified.kid, may_block=False)
        if key is None:
            raise LookupNeeded
        check_signature(unverified, key)
        return self._rules.read(unverified.payload, at=at)

    @contextmanager
    def _lookup(self) -> Iterator[None]:
        """Have one of the places of those that wait for an unknown key; raise KeysUnavailable where none is.

        Anybody can name a key that nobody has. Whose key is known must find a thread all the same.
        """
        lookups = self._lookups
        # Without a key nothing can be verified, and so nobody is held up.
        if lookups is None or self._keys.is_empty:
            yield
            return
        if not lookups.acquire(blocking=False):
            raise KeysUnavailable("the key of this token is looked for later: others wait for theirs")
        try:
            yield
        finally:
            lookups.release()

    def _find_key(self, kid: str, *, may_block: bool) -> RSAPublicKey | None:
        """Fetch the key; None where only the fallback can decide. Raises LookupNeeded for what it may not."""
        try:
            key = self._keys.fetch_for_unknown(kid, may_block=may_block)
        except RefetchTooSoon as error:
            # The keys are there, so nobody else is asked. But this may well be a new one of BETCORE's, and a
            # 401 would lose a make.
            raise TooManyUnknownKeys from error
        except KeysFetchFailed as error:
            if self._fallback is not None:
                return None
            raise KeysUnavailable(f"the key of this token cannot be had now: {error}") from error
        if key is None:
            raise UnknownKey
        return key

    def _ask(self, token: str) -> None:
        if self._fallback is None:
            raise KeysUnavailable
        try:
            is_valid = self._fallback.vouches_for(token)
        except VerifyUnavailable as error:
            raise KeysUnavailable(
                f"neither the keys nor the Verify endpoint can be had now: {error}"
            ) from error
        if not is_valid:
            raise NotVouchedFor


def check_signature(unverified: CompactToken, key: RSAPublicKey) -> None:
    """Raise BadSignature where the token was not signed with this key."""
    # The algorithm is pinned here, beside the key; the header had no say in it (RFC 8725, 3.1).
    if not _RS256.verify(unverified.signed, key, unverified.signature):
        raise BadSignature
