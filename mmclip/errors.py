"""Errors that a user can mend: they end a command with one clear line and exit status 2."""

from __future__ import annotations

import errno


class UserError(Exception):
    """A mistake in the user's files, configuration or machine.

    The message is one line: the file, the row or key, the value found, and what would be right. It never holds
    report text, since it may be logged.
    """


class NothingToSample(UserError):
    """A split has no image or no text that an experiment could use."""


class BudgetExceeded(UserError):
    """More samples had to be skipped than the stage's error budget allows."""


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means a full disk or quota: libraries wrap what the system says in errors of their own."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(sign in str(error) for sign in ("No space left on device", "disk is full", "Disk quota exceeded"))
