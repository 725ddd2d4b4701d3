"""Every rule of the library has a workload; its mirrors and its peer compute the same function."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vjpkit import registry
from vjpkit.bench.contestants import contestants
from vjpkit.bench.peers import IMAGES, PEERS, prepared
from vjpkit.bench.settings import reverse
from vjpkit.bench.workloads import workloads

WORKLOADS = workloads()
RANDOM = {"dropout"}  # another mask of the same key
each = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w.name)


def small(workload):
    """The workload with two rows, or images, in place of many."""
    rows = workload.args[0].shape[0]
    args = (d.reshaped(2, *d.shape[1:]) if d.shape[:1] == (rows,) else d for d in workload.args)
    return dataclasses.replace(workload, args=tuple(args))


def test_every_rule_of_the_library_has_a_workload():
    library = {path for path in registry if path.startswith(("vjpkit.nn.", "vjpkit.losses."))}
    assert library - {w.rule.path for w in WORKLOADS} == set(), "add it to vjpkit/bench/workloads.py"


def test_names_are_unique():
    names = [w.name for w in WORKLOADS]
    assert len(names) == len(set(names))


@each
def test_the_specs_are_those_of_the_arguments(workload):
    with jax.enable_x64(False):
        workload = small(workload)
        assert [(a.shape, a.dtype) for a in workload.arguments()] == [(s.shape, s.dtype) for s in workload.specs()]


@each
def test_a_workload_can_be_measured(workload):
    def both_passes(*arguments):
        everyone = contestants(workload.rule, workload.against, workload.static).values()
        programs = [reverse(f, arguments) for f in everyone]
        return [program(*given) for program, given in programs]

    with jax.enable_x64(False):  # as it is measured
        ours, *others = jax.eval_shape(both_passes, *workload.specs())
    assert all(jax.tree.map(jnp.shape, other) == jax.tree.map(jnp.shape, ours) for other in others)


@pytest.mark.parametrize("workload", [w for w in WORKLOADS if w.against and w.name not in RANDOM], ids=lambda w: w.name)
def test_what_a_rule_mirrors_is_the_same_function(workload):
    workload = small(workload)
    arguments = workload.arguments()
    ours, *others = contestants(workload.rule, workload.against, workload.static).items()
    for name, function in others:
        if name in workload.against:
            np.testing.assert_allclose(function(*arguments), ours[1](*arguments), rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("workload", [w for w in WORKLOADS if w.rule.name in PEERS], ids=lambda w: w.name)
def test_the_peer_is_the_same_function(workload):
    pytest.importorskip("torch")
    workload = small(workload)
    arguments = workload.arguments()
    y = prepared(workload, arguments)[0]().detach()
    ours = workload.rule(*arguments, **workload.static)
    if PEERS[workload.rule.name].layouts[:1] == IMAGES:
        y = y.movedim(1, -1)
    close = {"rtol": 2e-2, "atol": 2e-2} if workload.dtype == jnp.bfloat16 else {"rtol": 2e-4, "atol": 2e-5}
    np.testing.assert_allclose(y.float().numpy(), np.asarray(ours, np.float32), **close)
