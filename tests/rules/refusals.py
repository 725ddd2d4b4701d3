"""A call that is refused, as data: what the message must name, expect and show."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vjpkit.core import DtypeError, Rule, ShapeError


def _array(dtype: Any) -> Any:
    return lambda *shape: jax.ShapeDtypeStruct(shape, dtype)


F, H, I, U, B, C = map(_array, (jnp.float32, jnp.bfloat16, jnp.int32, jnp.uint32, jnp.bool_, jnp.complex64))


class Bad(NamedTuple):
    """A call that is refused, and what of its arguments the message must name, expect and show."""

    rule: Rule
    args: tuple[Any, ...]
    named: dict[str, Any]
    error: type[Exception]
    argument: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.rule.name}-{self.error.__name__}-{self.argument}-{self.got}"


def bad(rule: Rule, *args: Any, error: type[Exception], says: tuple[str, str, str], **named: Any) -> Bad:
    return Bad(rule, args, named, error, *says)


def shape(rule: Rule, *args: Any, says: tuple[str, str, str], **named: Any) -> Bad:
    return bad(rule, *args, error=ShapeError, says=says, **named)


def dtype(rule: Rule, *args: Any, says: tuple[str, str, str], **named: Any) -> Bad:
    return bad(rule, *args, error=DtypeError, says=says, **named)


def value(rule: Rule, *args: Any, says: tuple[str, str, str], **named: Any) -> Bad:
    return bad(rule, *args, error=ValueError, says=says, **named)


def kind(rule: Rule, *args: Any, says: tuple[str, str, str], **named: Any) -> Bad:
    return bad(rule, *args, error=TypeError, says=says, **named)


FIELDS, REAL, FLOAT = "a float or complex dtype", "a real dtype", "a real float dtype"
