"""What the checker raises: a question that makes no sense, and a report that failed."""


class CheckError(ValueError):
    """The function or its arguments cannot be checked; the message says what to change."""


class CheckFailed(AssertionError):
    """A report with failures; the message is these, each with a line that reproduces it."""
