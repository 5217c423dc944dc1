"""Errors that a user can mend: they end a command with one clear line and exit status 2."""


class UserError(Exception):
    """A mistake in the user's files, configuration or machine.

    The message is one line: the file, the row or key, the value found, and what would be right. It never holds
    report text, since it may be logged.
    """


class BudgetExceeded(UserError):
    """More samples had to be skipped than the stage's error budget allows."""
