"""Its tests: a list of cases becomes tests in three lines, and a single rule needs one."""

import jax.numpy as jnp
import numpy as np
from log_cosh import log_cosh, weighted_mean

import vjpkit.testing
from vjpkit.core import Case, Special
from vjpkit.core.draw import normal, uniform

CASES = [
    Case(
        log_cosh,
        (normal(3, 5, scale=3.0),),
        reference=lambda x: np.logaddexp(x, -x) - np.log(2),
        special=(Special((jnp.array([0.0, 1e3, -1e3]),), "large arguments: slope ±1"),),
    ),
    Case(weighted_mean, (normal(2, 7), uniform(2, 7, low=0.5, high=2.0))),
]


@vjpkit.testing.cases(CASES)
def test_rules(case, check_rule):
    check_rule(case)


def test_shapes_in_words(check_rule):
    check_rule(log_cosh, "b i")
