"""Claims are read as they are written, a false one is caught, and the library's own are met."""

import jax.numpy as jnp
import pytest

from vjpkit import registry
from vjpkit.bench.claims import Claim, ClaimError, check_claims, claims_of
from vjpkit.bench.workloads import Workload, workloads
from vjpkit.core import elementwise
from vjpkit.core.draw import normal

WORKLOADS = workloads()
LIBRARY = [r for path, r in registry.items() if path.startswith("vjpkit.") and "Wins:" in (r.__doc__ or "")]


def soft_that_wins(text):
    """A rule that says so, and needs half the residuals of autodiff, no temp memory alone, half of it in a scan."""

    def soft(x):
        return jnp.log(1 + jnp.exp(x))

    soft.__doc__ = f"Softplus.\n\n    Rule:    ẏ = σ ẋ\n    Wins:    {text}\n    Edges:   FLOPs 9× less; none.\n    "
    return elementwise(slope=lambda y: 1 - jnp.exp(-y))(soft)


def check(text):
    rule = soft_that_wins(text)
    return check_claims([rule], [Workload(rule, (normal(64, 32),))])


def test_the_grammar():
    text = """residuals 2.9× less; temp memory 10000× less alone; temp
             memory 2.2× less in a stack; temp memory 1.5× less; FLOPs
             1.4× less in a scan; 8× as fast on a CPU; alone no temp memory beside 8 MiB; finite for ε = 0."""
    assert claims_of(soft_that_wins(text)) == [
        Claim("residuals", 2.9),
        Claim("temp memory", 10000.0),
        Claim("temp memory", 2.2, "stack"),
        Claim("temp memory", 1.5, "alone"),
        Claim("FLOPs", 1.4, "scan"),
    ]


def test_a_claim_may_end_the_sentence():
    assert claims_of(soft_that_wins("finite; residuals 2× less.")) == [Claim("residuals", 2.0)]


def test_a_rule_may_claim_nothing():
    assert claims_of(registry["relu6"]) == []
    assert check("6× as fast; finite at 0.") == []


@pytest.mark.parametrize(
    "clause",
    ["residuals 2x less", "temp memory 2× less in a loop", "residuals 1× x (autodiff 3×)", "flops 2× less", "FLOPs 2×"],
)
def test_what_begins_like_a_claim_must_be_one(clause):
    with pytest.raises(ClaimError, match=r"soft: cannot read the claim '.+'; expected such as"):
        claims_of(soft_that_wins(f"finite; {clause}."))


def test_true_and_false_claims():
    verdicts = check("residuals 2× less; residuals 2.1× less; temp memory 1.5× less in a scan; temp memory 3× less.")
    assert [v.met for v in verdicts] == [True, False, True, True]
    assert [(v.claimed, v.measured) for v in verdicts[:2]] == [(2.0, 2.0), (2.1, 2.0)]
    assert str(verdicts[2].claim) == "temp memory, scan"
    assert verdicts[3].measured == float("inf")  # it needs no temp memory, alone, so any factor is met


def test_a_claim_needs_a_workload():
    with pytest.raises(ClaimError, match="soft: claims something, and has no workload"):
        check_claims([soft_that_wins("residuals 2× less")], WORKLOADS)


@pytest.mark.parametrize("rule", LIBRARY, ids=lambda r: r.name)
def test_the_librarys_own_claims(rule):
    unmet = [v for v in check_claims([rule], WORKLOADS) if not v.met]
    assert unmet == []
