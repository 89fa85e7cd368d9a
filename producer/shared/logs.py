"""Structured logs: one JSON object a line on stderr, for structlog and the standard library alike."""

import logging
from typing import Final

import structlog

_SHARED: Final[list[structlog.typing.Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
# One list for all: loggers keep the one that they were first used with.
_PROCESSORS: Final = [*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]


def configure_logs(level: str) -> None:
    """Send all logging of this process through structlog as JSON. For composition roots."""
    structlog.configure(
        processors=_PROCESSORS,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # Its line per request would carry URLs at INFO, and the receiver counts requests itself.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Its DEBUG lines carry the arguments of tasks, and so BETCORE's tokens.
    logging.getLogger("celery.pool").setLevel(logging.INFO)


def hand_over_logs(*names: str) -> None:
    """Let the lines of these loggers go the way of all others."""
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
