"""The log on standard error: one JSON object a line, or readable lines on a terminal.

Paths of requests are not logged: their query strings hold names of people (REQ-S-072).
"""

import logging
import sys
from typing import Final

import structlog
from structlog.typing import Processor

OWN_HANDLERS: Final = ("dbos",)
"""Loggers that would get a handler of their library if they had none."""
USUAL: Final = (
    "Asyncio task cancelled",
    "Workflow already exists in queue",
    "cannot schedule new futures after shutdown",
)
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
    # A trace with its variables would show people, and tokens.
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
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

    for name in OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [output]
        logger.propagate = False
        logger.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """False for what DBOS says of every stop that cuts a page off, and of every start that goes on with it."""
    exception = record.exc_info[1] if record.exc_info else None
    return not any(usual in f"{record.getMessage()} {exception}" for usual in USUAL)
