"""What is counted of the messages of a producer when their event has come to an end on record."""

from collections.abc import Sequence

from worker.domain.settlement import GiveUp, RetryAt, Step
from worker.errors import DeadlineExceeded, RefusedByBetcore
from worker.handling.attempt import Answer
from worker.metrics import MessageStep


def steps_of(came_to: Step | Answer | None, step: Step) -> Sequence[MessageStep]:
    """Return what is counted of a message whose run came to this, and its request to this step."""
    if isinstance(step, RetryAt):
        return ()
    if isinstance(step, GiveUp) and not isinstance(step.error, DeadlineExceeded | RefusedByBetcore):
        # It goes into quarantine, and is counted there.
        return ()
    # Without an answer it gave up: so late that BETCORE could not even be told.
    is_late = came_to.is_late if isinstance(came_to, Answer) else isinstance(step, GiveUp)
    return (MessageStep.SETTLED, MessageStep.TOO_LATE) if is_late else (MessageStep.SETTLED,)
