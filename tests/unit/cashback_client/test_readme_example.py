"""What README.md tells other services to do is what they can do."""

import re

from celery import Celery

from cashback_client.contract import QUEUE, TASK_NAME, SettleMessage, event_id_of
from deploy.local.environment import ROOT

README = ROOT / "README.md"
TOKEN = "header.payload.signature"
DATA = '{"CashbackId": 480, "PartnerUserId": "188509", "TransactionType": 1, "Amount": 10.5}'


class Sent(Celery):  # type: ignore[misc]  # Celery has no types
    """An application that keeps what it is told to send."""

    tasks_sent: list[tuple[str, dict[str, object]]]

    def send_task(self, name: str, **options: object) -> None:
        self.tasks_sent.append((name, options))


def test_the_example_of_the_readme_enqueues_an_event_without_showing_its_token() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    app = Sent("partner", set_as_current=False)
    app.tasks_sent = []

    names = {"app": app, "token": TOKEN, "received_at_ms": 1_000, "claims": {"data": DATA}}
    exec(compile(example, str(README), "exec"), names)  # noqa: S102 - it is our own README

    ((name, options),) = app.tasks_sent
    assert name == TASK_NAME
    assert SettleMessage.model_validate(options.pop("kwargs")).token == TOKEN
    assert (options["task_id"], options["queue"]) == (str(event_id_of(TOKEN)), QUEUE)
    assert TOKEN not in repr(options)
