"""What a call of a client can end in, beside its result. Each error has a `reason` for metrics and logs.

No text of them holds a token, a password or a key.
"""

from typing import Any, Final, Literal

Cause = Literal["timed_out", "unreachable", "cut_off", "access_refused", "unavailable", "broken_reply"]
"""Why nothing was heard, or nothing good:

- `timed_out`: the call's time was over;
- `unreachable`: no connection was made (no server there, no such name, TLS refused);
- `cut_off`: the connection ended before the answer was there;
- `access_refused`: the server does not know the login or the key, or it may not do this;
- `unavailable`: the server said that it cannot, for now;
- `broken_reply`: an answer came that cannot be read, or that is none to this question.
"""


class CashbackClientError(Exception):
    """The root of what a client raises."""

    reason: str = "client_error"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as it is: its words are not what it is made of."""
        return _made_again, (type(self), self.args, self.__dict__)


class WrongSettings(CashbackClientError, ValueError):
    """A client cannot be made of these options."""

    reason = "wrong_settings"


class ClientClosed(CashbackClientError):
    """The client was closed before this call."""

    reason = "client_closed"


class NotSubmitted(CashbackClientError):
    """It is not certain that the events are submitted: submit them again, or let BETCORE do so.

    `may_be_there` is False where it is certain that none of them is, and True where they may be all the same
    (a time-out after the request was sent, say). Either way sending again is harmless: the same token is the
    same event. `retry_after_seconds` is what the server asked for, if it did.
    """

    def __init__(
        self,
        detail: str,
        *,
        reason: Cause | Literal["quota_exceeded"],
        may_be_there: bool,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{detail}; {_MAY_BE if may_be_there else _IS_NOT}: submit again")
        self.reason = reason
        self.may_be_there = may_be_there
        self.retry_after_seconds = retry_after_seconds


class QuotaExceeded(NotSubmitted):
    """The receiver takes no more events of this producer for now; none of the call's was taken.

    `retry_after_seconds` says when it takes more, None where it does not say.
    """

    def __init__(self, detail: str, *, retry_after_seconds: float | None) -> None:
        super().__init__(
            detail, reason="quota_exceeded", may_be_there=False, retry_after_seconds=retry_after_seconds
        )


class Refused(CashbackClientError):
    """The event is none that could be settled; to send the same again changes nothing.

    `reason` is the receiver's word for it, or `no_token` and `bad_message` where it was not even sent.
    """

    def __init__(self, detail: str, *, reason: str) -> None:
        super().__init__(f"refused ({reason}): {detail}" if detail else f"refused ({reason})")
        self.reason = reason


class StatusUnknown(CashbackClientError):
    """The receiver could not be asked how an event stands, or did not say: ask again."""

    def __init__(self, detail: str, *, reason: Cause, retry_after_seconds: float | None = None) -> None:
        super().__init__(f"{detail}; how the event stands is not known: ask again")
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class Unanswered(Exception):
    """Between the modules: no answer, or none that can be read. `was_sent`: the request may have arrived."""

    def __init__(self, detail: str, *, reason: Cause, was_sent: bool) -> None:
        super().__init__(detail)
        self.reason: Cause = reason
        self.was_sent = was_sent


def _made_again(kind: type[Exception], args: tuple[Any, ...], members: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, *args)
    error.__dict__.update(members)
    return error


_MAY_BE: Final = "the events may be submitted all the same"
_IS_NOT: Final = "no event was submitted"
