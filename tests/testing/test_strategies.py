"""The hypothesis strategies draw what they promise."""

import hypothesis
import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings

from vjpkit import nn, testing
from vjpkit.core import Case
from vjpkit.core.draw import integers, normal

few = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck))


@few
@given(testing.prime_shapes(1, 3))
def test_shapes_are_distinct_primes(shape):
    assert len(set(shape)) == len(shape)
    assert set(shape) <= {2, 3, 5, 7, 11, 13}


@few
@given(testing.arguments("b i", "i o", "o", dtype=jnp.bfloat16))
def test_a_letter_is_one_size(args):
    x, w, b = args
    assert x.shape[1] == w.shape[0]
    assert w.shape[1] == b.shape[0]
    assert {a.dtype for a in args} == {jnp.dtype(jnp.bfloat16)}
    assert all(jnp.isfinite(a).all() for a in args)


@few
@given(testing.arrays_like({"x": normal(2, 3), "n": jnp.arange(4), "i": integers(5, high=3), "y": jnp.ones(2)}))
def test_like_a_pytree(drawn):
    assert jax.tree.map(jnp.shape, drawn) == {"x": (2, 3), "n": (4,), "i": (5,), "y": (2,)}
    assert jnp.array_equal(drawn["n"], jnp.arange(4))
    assert jnp.issubdtype(drawn["i"].dtype, jnp.integer)


def test_special_values_are_found():
    search = settings(max_examples=2000, derandomize=True, deadline=None)
    hypothesis.find(testing.arrays((3,)), lambda a: bool((a == 0).any() and (a == 1e4).any()), settings=search)
    hypothesis.find(testing.special_values(infinite=True), lambda v: v == -float("inf"), settings=search)


def test_bad_shapes():
    with pytest.raises(ValueError, match="expected a shape such as 'b i', got 'b,i'"):
        hypothesis.find(testing.arguments("b,i"), lambda args: True)
    with pytest.raises(ValueError, match="at most 6 letters, got 7"):
        hypothesis.find(testing.arguments("a b c d e f g"), lambda args: True)


def test_an_empty_list_of_cases_is_refused():
    with pytest.raises(ValueError, match="at least one case"):
        testing.cases([])


def test_what_is_no_case_is_refused():
    with pytest.raises(TypeError, match=r"cases: item 1: expected a vjpkit\.core\.Case, got tuple"):
        testing.cases([Case(nn.relu, (normal(3),)), (nn.relu, "b")])
