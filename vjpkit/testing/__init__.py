"""For tests of your own rules: cases become tests, and hypothesis draws what they are run on.

@vjpkit.testing.cases(CASES)              # a list of vjpkit.core.Case
def test_rules(case, check_rule):         # check_rule is a fixture of vjpkit's pytest plugin
    check_rule(case)

@hypothesis.given(vjpkit.testing.arguments("b i", "i o", "o"))
def test_dense(args):
    vjpkit.check(dense, *args).raise_if_failed()
"""

from vjpkit.testing.cases import cases as cases
from vjpkit.testing.strategies import arguments as arguments
from vjpkit.testing.strategies import arrays as arrays
from vjpkit.testing.strategies import arrays_like as arrays_like
from vjpkit.testing.strategies import prime_shapes as prime_shapes
from vjpkit.testing.strategies import special_values as special_values
