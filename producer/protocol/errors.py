"""The producer's errors: one tree, each with a machine-readable `reason` that serves as metric label."""

from typing import ClassVar


class ProducerError(Exception):
    """The producer could not do what it was asked to."""

    reason: ClassVar[str] = "producer_error"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or self.reason).strip().splitlines()[0])


class VerificationError(ProducerError):
    """The token could not be verified."""

    reason = "not_verified"


class NotAToken(VerificationError):
    """This is not a JSON Web Token in compact form."""

    reason = "no_token"


class UnsupportedToken(VerificationError):
    """The token is not signed the way BETCORE signs: RS256 with a named key and no critical extension."""

    reason = "unsupported_token"


class UnknownKey(VerificationError):
    """The token names a key that BETCORE does not publish."""

    reason = "unknown_key"


class BadSignature(VerificationError):
    """The token's signature is not BETCORE's."""

    reason = "bad_signature"


class NotVouchedFor(BadSignature):
    """BETCORE's Verify endpoint says that the token is not valid, or no longer."""

    reason = "not_vouched_for"


class BadClaims(VerificationError):
    """The token's claims cannot be read, or nbf or exp is missing."""

    reason = "bad_claims"


class DuplicateMember(VerificationError):
    """The token's header or claims name a member twice."""

    reason = "duplicate_member"


class TokenLivesTooLong(VerificationError):
    """The token lives for longer than BETCORE's do."""

    reason = "token_lives_too_long"


class TokenExpired(VerificationError):
    """The token had expired when it was received."""

    reason = "token_expired"


class TokenNotYetValid(VerificationError):
    """The token was not yet valid when it was received."""

    reason = "token_not_yet_valid"


class WrongIssuer(VerificationError):
    """The token is from another issuer."""

    reason = "wrong_issuer"


class WrongClient(VerificationError):
    """The token is for another partner."""

    reason = "wrong_client"


class WrongAudience(VerificationError):
    """The token is not meant for us."""

    reason = "wrong_audience"


class KeysUnavailable(VerificationError):
    """The key of this token cannot be had now; it may be had later."""

    reason = "keys_unavailable"


class TooManyUnknownKeys(KeysUnavailable):
    """Too many tokens name keys that are not known; send it again."""


class KeysFetchFailed(ProducerError):
    """BETCORE's published keys could not be fetched."""

    reason = "keys_unavailable"


class RefetchTooSoon(KeysFetchFailed):
    """An unknown key was asked for a moment ago; the next fetch has to wait."""

    reason = "refetch_too_soon"


class LookupNeeded(ProducerError):
    """The key of this token has to be looked up, which takes time."""

    reason = "lookup_needed"
