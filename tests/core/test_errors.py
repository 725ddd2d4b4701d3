"""Every mistake of a rule's author or caller gets an error that names rule, map and argument."""

import functools
import re

import jax
import jax.numpy as jnp
import pytest

from vjpkit.core import RegistrationError, RuleError, elementwise, linear, rule

X, W, B = jnp.ones((2, 3)), jnp.ones((3, 5)), jnp.ones((5,))


def dense_with(**maps):
    """The dense layer, with one of its functions replaced."""

    def dense(x, w, b):
        return x @ w + b

    right = {
        "fwd": lambda x, w, b: (x @ w + b, (x, w)),
        "jvp": lambda res, x_dot, w_dot, b_dot: x_dot @ res[1] + res[0] @ w_dot + b_dot,
        "vjp": lambda res, g: (g @ res[1].T, res[0].T @ g, g.sum(0)),
    }
    return rule(dense).defrule(**{**right, **maps})


def reverse(f):
    return jax.grad(lambda *args: f(*args).sum(), argnums=(0, 1, 2))(X, W, B)


def forward(f):
    return jax.jvp(f, (X, W, B), (X, W, B))


VJP_MISTAKES = {
    "count": (
        lambda res, g: (g @ res[1].T, res[0].T @ g),
        "dense.vjp must return a tuple of 3 cotangents, one for each of (x, w, b), got 2",
    ),
    "no tuple": (
        lambda res, g: g,
        "dense.vjp must return a tuple of 3 cotangents, one for each of (x, w, b), got one ",
    ),
    "missing sum": (
        lambda res, g: (g @ res[1].T, res[0].T @ g, g),
        "dense.vjp: the cotangent of b is wrong: expected float64[5], got float64[2,5]; "
        "a sum over the leading axes (0,) would mend the shape",
    ),
    "transposed": (
        lambda res, g: (g @ res[1].T, g.T @ res[0], g.sum(0)),
        "dense.vjp: the cotangent of w is wrong: expected float64[3,5], got float64[5,3]; "
        "it is the transpose of that shape",
    ),
    "kept axis": (
        lambda res, g: (g @ res[1].T, jnp.ones((3, 5)), g.sum(0, keepdims=True)),
        "dense.vjp: the cotangent of b is wrong: expected float64[5], got float64[1,5]",
    ),
    "dtype": (
        lambda res, g: (g @ res[1].T, (res[0].T @ g).astype(jnp.float32), g.sum(0)),
        "dense.vjp: the cotangent of w is wrong: expected float64[3,5], got float32[3,5]",
    ),
    "pytree": (
        lambda res, g: (g @ res[1].T, {"w": res[0].T @ g}, g.sum(0)),
        "dense.vjp: the cotangent of w must be structured like w, PyTreeDef(*), got PyTreeDef({'w': *})",
    ),
    "None": (
        lambda res, g: (g @ res[1].T, None, g.sum(0)),
        "dense.vjp: the cotangent of w is None, expected float64[3,5]; return zeros where the derivative is zero",
    ),
    "no array": (
        lambda res, g: (g @ res[1].T, "w", g.sum(0)),
        "dense.vjp: the cotangent of w must be an array, expected float64[3,5], got str",
    ),
}


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("mistake", VJP_MISTAKES)
def test_vjp(mistake, jit):
    vjp, text = VJP_MISTAKES[mistake]
    f = dense_with(vjp=vjp)
    with pytest.raises(RuleError, match=re.escape(text)):
        jax.jit(reverse, static_argnums=0)(f) if jit else reverse(f)


@pytest.mark.parametrize("mistake", VJP_MISTAKES)
def test_vjp_of_the_stock_mount(mistake):
    vjp, text = VJP_MISTAKES[mistake]
    with pytest.raises(RuleError, match=re.escape(text)):
        reverse(dense_with(vjp=vjp).custom_vjp)


def test_a_sum_with_keepdims_is_proposed():
    f = rule(lambda x: x + 0.0).defrule(fwd=lambda x: (x, ()), vjp=lambda res, g: jnp.ones((2, 3)))
    with pytest.raises(RuleError, match=r"expected float64\[2,1\], got float64\[2,3\]; a sum over axes \(1,\)"):
        jax.vjp(f, jnp.ones((2, 1)))[1](jnp.ones((2, 1)))


JVP_MISTAKES = {
    "shape": (
        lambda res, x_dot, w_dot, b_dot: (x_dot @ res[1]).sum(0),
        "dense.jvp: the output's tangent is wrong: expected float64[2,5], got float64[5]",
    ),
    "dtype": (
        lambda res, x_dot, w_dot, b_dot: (x_dot @ res[1]).astype(jnp.float32),
        "dense.jvp: the output's tangent is wrong: expected float64[2,5], got float32[2,5]",
    ),
    "pytree": (
        lambda res, x_dot, w_dot, b_dot: (x_dot @ res[1], b_dot),
        "dense.jvp: the output's tangent must be structured like the primal's output, PyTreeDef(*), "
        "got PyTreeDef((*, *))",
    ),
    "None": (
        lambda res, x_dot, w_dot, b_dot: None,
        "dense.jvp: the output's tangent is None, expected float64[2,5]",
    ),
}


@pytest.mark.parametrize("mistake", JVP_MISTAKES)
def test_jvp(mistake):
    jvp, text = JVP_MISTAKES[mistake]
    with pytest.raises(RuleError, match=re.escape(text)):
        forward(dense_with(jvp=jvp))


FWD_MISTAKES = {
    "no pair": (
        lambda x, w, b: x @ w + b,
        "dense.fwd must return the pair (output, residuals), got ",
    ),
    "three": (
        lambda x, w, b: (x @ w + b, x, w),
        "dense.fwd must return the pair (output, residuals), got tuple of 3",
    ),
    "structure": (
        lambda x, w, b: ((x @ w + b,), (x, w)),
        "dense.fwd: the output must be structured like the primal's output, PyTreeDef(*), got PyTreeDef((*,))",
    ),
    "shape": (
        lambda x, w, b: ((x @ w + b).sum(0), (x, w)),
        "dense.fwd: the output is wrong: expected float64[2,5], got float64[5]",
    ),
    "dtype": (
        lambda x, w, b: ((x @ w + b).astype(jnp.bfloat16), (x, w)),
        "dense.fwd: the output is wrong: expected float64[2,5], got bfloat16[2,5]",
    ),
}


@pytest.mark.parametrize("mistake", FWD_MISTAKES)
@pytest.mark.parametrize("mode", [forward, reverse])
def test_fwd_disagrees_with_the_primal(mistake, mode):
    fwd, text = FWD_MISTAKES[mistake]
    with pytest.raises(RuleError, match=re.escape(text)):
        mode(dense_with(fwd=fwd))


def test_an_argument_without_a_tangent_must_answer_none():
    def take(x, i):
        return x[i]

    f = rule(take).defrule(
        fwd=lambda x, i: (x[i], (x, i)),
        vjp=lambda res, g: (jnp.zeros_like(res[0]).at[res[1]].add(g), jnp.zeros_like(res[1])),
    )
    with pytest.raises(RuleError, match=r"take\.vjp: the cotangent of i must be None, for int\d+ has no tangent"):
        jax.grad(lambda x: f(x, jnp.array([0, 0])).sum())(jnp.ones(3))


def test_a_leaf_is_named_by_its_path():
    def layer(p):
        return p["w"] * p["b"]

    f = rule(layer).defrule(fwd=lambda p: (layer(p), p), vjp=lambda p, g: {"w": g, "b": g.sum()})
    with pytest.raises(RuleError, match=re.escape("layer.vjp: the cotangent of p['b'] is wrong: expected float64[3]")):
        jax.grad(lambda p: f(p).sum())({"w": jnp.ones(3), "b": jnp.ones(3)})


@pytest.mark.parametrize(
    "transform", [jax.grad, lambda f: jax.jit(f), lambda f: jax.vmap(f, axis_size=2, in_axes=None)]
)
def test_a_closure_over_a_traced_value_is_refused(transform):
    def outer(scale):
        def scaled(x):
            return x * scale

        f = rule(scaled).defrule(fwd=lambda x: (x * scale, ()), vjp=lambda res, g: (g * scale,))
        return f(2.0)

    if transform is not jax.grad:
        outer = jax.grad(outer)
    with pytest.raises(RuleError, match=r"scaled: the primal closes over a traced value.*pass it as an argument"):
        transform(outer)(3.0)


def test_a_closure_over_a_constant_is_allowed():
    table = jnp.arange(3.0)
    f = elementwise(slope=lambda: table)(lambda x: x * table)
    assert jnp.array_equal(jax.grad(lambda x: f(x).sum())(jnp.ones(3)), table)


def test_an_undeclared_static_is_refused():
    with pytest.raises(RuleError, match=r"f: keyword-only parameter 'axis' is not declared static; write static="):

        @rule
        def f(x, *, axis):
            return x.sum(axis)


def test_a_static_that_is_no_parameter_is_refused():
    with pytest.raises(RuleError, match=r"f: static option 'axes' is not a parameter of f\(x, axis\)"):

        @rule(static=("axes",))
        def f(x, axis):
            return x.sum(axis)


def test_keyword_arguments_without_names_are_refused():
    with pytest.raises(RuleError, match=r"f: a rule cannot take \*\*options"):

        @rule
        def f(x, **options):
            return x


def test_static_options_must_be_hashable():
    @rule(static=("axis",))
    def total(x, axis):
        return x.sum(axis)

    total.defrule(fwd=lambda x, axis: (x.sum(axis), ()), vjp=lambda res, g, axis: g)
    with pytest.raises(TypeError, match=r"static option 'axis' must be hashable, got list; a tuple"):
        total(X, [0, 1])
    with pytest.raises(TypeError, match=r"static option 'axis' must be hashable, got .*; an array cannot be static"):
        total(X, jnp.array(0))


def test_an_option_passed_as_an_argument_is_named():
    with pytest.raises(TypeError, match="dense: argument b must be an array or a number, got str 'same'"):
        dense_with()(X, W, "same")
    with pytest.raises(TypeError, match=re.escape("dense: argument w['k'] must be an array or a number, got str")):
        dense_with()(X, {"k": "same"}, B)


def test_a_call_that_does_not_fit_the_signature():
    with pytest.raises(TypeError, match=re.escape("dense(x, w, b): missing a required argument: 'b'")):
        dense_with()(X, W)
    with pytest.raises(TypeError, match=re.escape("dense(x, w, b): got an unexpected keyword argument 'bias'")):
        dense_with()(X, W, B, bias=B)


def test_a_function_without_a_name_is_refused():
    with pytest.raises(RuleError, match="a rule is made of a function with a name, got partial"):
        rule(functools.partial(jnp.sum, axis=0))


def test_neither_map():
    with pytest.raises(RuleError, match="dense: a rule needs a jvp or a vjp; defrule got neither"):
        dense_with(jvp=None, vjp=None)


def test_no_derivative_yet():
    @rule
    def f(x):
        return x

    with pytest.raises(RuleError, match=r"f: this rule has no derivative yet; give it one with f\.defrule"):
        f(1.0)


def test_elementwise_slopes_must_fit():
    with pytest.raises(RuleError, match=r"f: elementwise needs one slope for each argument, \(x, a\); got 1"):

        @elementwise(slope=lambda x: x)
        def f(x, a):
            return x * a

    with pytest.raises(RuleError, match=r"f: the slope in x reads \['z'\]; it may read x, a, y"):

        @elementwise(slope=(lambda z: z, None))
        def f(x, a):
            return x * a


def test_linear_checks_its_transpose():
    f = linear(transpose=lambda g, x: g)(lambda x: x.sum(0))
    with pytest.raises(RuleError, match=r"the cotangent of x is wrong: expected float64\[2,3\], got float64\[3\]"):
        jax.vjp(f, X)[1](jnp.ones(3))


def _module_level(name, line):
    def primal(x):
        return x

    primal.__name__ = primal.__qualname__ = name
    primal.__code__ = primal.__code__.replace(co_firstlineno=line)
    return primal


def test_a_second_registration_under_one_name():
    rule(_module_level("registered_twice", 10))
    rule(_module_level("registered_twice", 10))  # the same definition again: a reload
    with pytest.raises(RegistrationError, match=r"registered_twice: a rule named '.*registered_twice' is registered"):
        rule(_module_level("registered_twice", 20))
