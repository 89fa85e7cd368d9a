"""Logs are set up by composition roots, and tests see what is logged whoever did so before."""

import subprocess
import sys

import structlog
from structlog.testing import capture_logs

from deploy.local.environment import ROOT
from producer.shared.logs import configure_logs

HANDED_TO_A_POOL = """
import logging
from celery.concurrency.thread import TaskPool
from producer.shared.logs import configure_logs

configure_logs("DEBUG")
pool = TaskPool(1)
pool.start()
logging.getLogger("celery").debug("DEBUG is on")
pool.apply_async(dict, kwargs={"token": "header.payload.signature"})
pool.stop()
"""


def test_a_logger_that_was_used_under_an_earlier_set_up_is_seen_under_a_later_one() -> None:
    log = structlog.get_logger("test")
    configure_logs("INFO")
    log.info("before")
    configure_logs("INFO")

    with capture_logs() as logs:
        log.info("after")

    assert [line["event"] for line in logs] == ["after"]


def test_at_debug_celerys_pool_does_not_log_the_arguments_of_a_task() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANDED_TO_A_POOL],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )

    assert "DEBUG is on" in done.stderr
    assert "header.payload.signature" not in done.stderr
