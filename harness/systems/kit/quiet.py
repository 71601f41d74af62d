"""Quiet: drivers warn of every connection that they lose. A history says so already, and a terminal is for people."""

from __future__ import annotations

import logging


def quieten(*drivers: str) -> None:
    """Let nothing of these loggers reach the terminal."""
    for name in drivers:
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
