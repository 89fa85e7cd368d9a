"""BETCORE's envelope of a reply: ErrorCode, Message, and Value where there is one."""

from typing import Any, Final

SUCCESS: Final = 200
MALFORMED: Final = 103752
PASSING: Final = 102823
MESSAGES: Final = {
    SUCCESS: "Success",
    401: "Unauthorized",
    MALFORMED: "Incorrect request parameters",
    PASSING: "Error accepting transaction",
}


def envelope(code: int, message: str | None = None, *, value: Any = None) -> dict[str, Any]:  # noqa: ANN401 -- JSON
    """Return the members of an envelope; without a message it has the one that BETCORE gives the code."""
    members = {"ErrorCode": code, "Message": message or MESSAGES.get(code, "Error")}
    return members if value is None else {**members, "Value": value}
