"""The log on standard error: one JSON object a line, or readable lines on a terminal.

Paths of requests are not logged: their query strings hold names of people (REQ-S-072).
"""

import logging
import sys
from typing import Final

import structlog
from structlog.typing import Processor

OWN_HANDLERS: Final = ("dbos",)
QUIETER: Final = ("uvicorn.error", "asyncio", "aiohttp", "httpx")
"""Loggers whose informational lines tell an operator nothing."""


def configure_logging(level: str) -> None:
    """From now on lines of at least `level` (`debug`, `info`, `warning`, `error`) appear, ours and libraries'."""
    number = logging.getLevelNamesMapping()[level.upper()]
    readable = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if readable
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel(number)
    for name in QUIETER:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def adopt_loggers() -> None:
    """Lets libraries that bring handlers of their own write into our log instead, once they have been started."""
    for name in OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    # Said of every page that a stop cuts off, which is how a stop works.
    return "Asyncio task cancelled" not in record.getMessage()
