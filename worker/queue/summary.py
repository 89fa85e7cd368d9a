"""What a message is about, in one line."""

import base64
import json

from cashback_client.contract import DataError, read_data
from cashback_client.summary import summary_of


def describe(kwargs: object) -> str:
    """Say in one line what a message is about. Nothing is verified here: it is for people's eyes only."""
    token = kwargs.get("token") if isinstance(kwargs, dict) else None
    try:
        payload = str(token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return summary_of(read_data(claims["data"]))
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, DataError):
        return "(unreadable)"
