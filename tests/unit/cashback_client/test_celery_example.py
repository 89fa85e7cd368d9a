"""What docs/partners.md tells a service with Celery to do is what it can do."""

import re

from celery import Celery

from cashback_client.contract import QUEUE, TASK_NAME, SettleMessage, event_id_of
from deploy.local.environment import ROOT

PAPER = ROOT / "docs" / "partners.md"
TOKEN = "header.payload.signature"
DATA = '{"CashbackId": 480, "PartnerUserId": "188509", "TransactionType": 1, "Amount": 10.5}'


class Sent(Celery):  # type: ignore[misc]  # Celery has no types
    """An application that keeps what it is told to send."""

    tasks_sent: list[tuple[str, dict[str, object]]]

    def send_task(self, name: str, **options: object) -> None:
        self.tasks_sent.append((name, options))


def test_the_example_for_celery_enqueues_an_event_without_showing_its_token() -> None:
    examples = re.findall(r"```python\n(.*?)```", PAPER.read_text("utf-8"), re.DOTALL)
    (example,) = [each for each in examples if "send_task" in each]
    app = Sent("partner", set_as_current=False)
    app.tasks_sent = []

    names = {"app": app, "token": TOKEN, "received_at_ms": 1_000, "claims": {"data": DATA}}
    exec(compile(example, str(PAPER), "exec"), names)  # noqa: S102 - it is our own paper

    ((name, options),) = app.tasks_sent
    assert name == TASK_NAME
    assert SettleMessage.model_validate(options.pop("kwargs")).token == TOKEN
    assert (options["task_id"], options["queue"]) == (str(event_id_of(TOKEN)), QUEUE)
    assert TOKEN not in repr(options)
