"""A million cases log nothing."""

import logging

import structlog


def hush() -> None:
    """Have nothing logged in this process."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
