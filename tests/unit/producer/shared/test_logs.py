"""Logs are set up by composition roots, and tests see what is logged whoever did so before."""

import structlog
from structlog.testing import capture_logs

from producer.shared.logs import configure_logs


def test_a_logger_that_was_used_under_an_earlier_set_up_is_seen_under_a_later_one() -> None:
    log = structlog.get_logger("test")
    configure_logs("INFO")
    log.info("before")
    configure_logs("INFO")

    with capture_logs() as logs:
        log.info("after")

    assert [line["event"] for line in logs] == ["after"]
