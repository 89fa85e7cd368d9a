"""Values that the shell completes, without being the only ones that count."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import click
from click.shell_completion import CompletionItem

CODES: Final = MappingProxyType(
    {
        "200": "credited, or taken back",
        "102145": "the user has no account",
        "102823": "too late, or the balance does not reach",
        "103752": "the make asks for what cannot be",
        "103753": "the make cannot be read",
        "103779": "the user is blocked",
        "103801": "the amount is not right",
        "103804": "posted before, for another make",
    }
)
"""What our accepts say."""

REASONS: Final = MappingProxyType(
    {
        "unreadable": "no message of kombu's",
        "undecodable": "a body that cannot be decoded",
        "unknown_message": "a message that names no task",
        "unknown_task": "a task that no worker runs",
        "invalid_task": "what Celery would drop",
        "malformed_task": "what Celery would fail on half-way",
        "future_version": "of a later version than the workers",
        "bad_message": "not the arguments of cashback.settle",
        "lost_workers": "three workers died with it in hand",
        "unexpected_error": "a fault of ours",
    }
)
"""Why messages are in quarantine, but for the reasons of the verifier."""

ACTIONS: Final = MappingProxyType(
    {
        "accounts.adjust": "a balance was corrected",
        "accounts.adjust.ask": "a correction waits for a second person",
        "accounts.adjust.approve": "a second person approved it",
        "accounts.adjust.reject": "it was let go of",
        "accounts.rules": "cashback migrate changed the limits of corrections",
        "accounts.block": "an account was blocked",
        "accounts.unblock": "an account was unblocked",
        "accounts.import": "accounts were imported",
        "quarantine.requeue": "messages were put back",
        "replay": "an event was ordered to be answered again",
        "intake.pause": "the intake was paused",
        "intake.resume": "the intake was resumed",
        "settings.check_off": "a process started with a check switched off",
    }
)
"""What the audit has of people."""


def suggesting(
    values: Mapping[str, str],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem | str]]:
    """Return what an option takes as `shell_complete` to have these values, each with what it means."""

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem | str]:
        return [
            CompletionItem(value, help=meaning)
            for value, meaning in values.items()
            if value.startswith(incomplete)
        ]

    return complete
