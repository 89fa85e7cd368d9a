"""A connection of a test's own, with its statements planned as the service's are."""

from typing import Final

from producer.shared.postgres import session

LASTING_PLANS: Final = " ".join(f"-c {name}={value}" for name, value in session.LASTING_PLANS.items())
"""libpq's `options` for it."""
