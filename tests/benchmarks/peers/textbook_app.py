"""The textbook worker's Celery app as its producer sees it: without the task and what the task imports."""

from typing import Final

from celery import Celery

QUEUE: Final = "textbook"
TASK: Final = "textbook.settle"


def new_app(broker_url: str) -> Celery:
    """Return the app; connects nothing."""
    app = Celery("textbook", broker=broker_url, set_as_current=False)
    app.conf.update(task_default_queue=QUEUE, task_ignore_result=True)
    return app
