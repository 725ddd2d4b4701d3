"""The errors of Jacobians: a layout that does not fit its neighbour, a question that has no answer."""

from __future__ import annotations


class LayoutError(ValueError):
    """A derivative in one layout meets a formula that expects another."""


class JacobianError(TypeError):
    """The function has no Jacobian of the kind that is asked for: no float, no array, no such argument."""
