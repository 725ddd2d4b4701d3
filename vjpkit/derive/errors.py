"""The errors of derivations."""

from __future__ import annotations


class DeriveError(ValueError):
    """A function that cannot be derived as asked, with the operation and the line where that shows."""
