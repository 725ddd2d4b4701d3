"""Derivatives as formulas: right in seven notations, in the symbols that were asked for, and never shown when wrong."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import vjpkit
from tests.evidence import compositions, layers
from tests.evidence.compositions import COMPOSITIONS, Composition
from tests.evidence.derived_formulas import SHAPES, SYMBOLS, derived
from vjpkit import nn
from vjpkit.cli import main
from vjpkit.derive import Derivation, DeriveError, derive
from vjpkit.derive.formulas import arrays, components, differential, kronecker, layouts, maps
from vjpkit.derive.formulas.scripts import SCRIPTS, number
from vjpkit.jacobian import unvec, vec

STYLES = ("index", "numerator", "denominator", "kronecker", "einsum", "vjp", "differential")
WEIGHTS = ("w1", "b1", "w2", "b2", "w3", "b3")


def k(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(shape).standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("c", COMPOSITIONS, ids=lambda c: c.name)
@pytest.mark.parametrize("square", [False, True], ids=["primes", "square"])
def test_every_notation_is_right(c: Composition, square: bool) -> None:
    d, error = derived(c, square)
    assert d.styles == STYLES
    assert error < 1e-10


def test_there_are_enough_compositions_and_the_shapes_are_what_they_say() -> None:
    assert len(COMPOSITIONS) >= 40
    for c in COMPOSITIONS:
        primes, squares = ([a.shape for a in c.arguments(square)] for square in (False, True))
        assert all(len(set(shape)) == len(shape) for shape in primes) or c.name == "quadratic_form"
        assert {n for shape in squares for n in shape} == {3}


# ------------------------------------------------------------------------------------------------ how it reads


@pytest.fixture(scope="module")
def three_layers() -> Derivation:
    return derive(compositions.network, *SHAPES, wrt=("x", *WEIGHTS), names=SYMBOLS)


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ("index", "δ²_i = σ′(z²_i) ā²_i"),
        ("index", "ā²_i = Σ_j W³_ji δ³_j"),
        ("index", "W̄³_ij = δ³_i a²_j"),
        ("numerator", "∂C/∂z² = ∂C/∂a² · diag(σ′(z²))    [1×n₂]·[n₂×n₂]"),
        ("numerator", "∂C/∂a¹ = ∂C/∂z² · W²    [1×n₂]·[n₂×n₁]"),
        ("numerator", "∂C/∂W³ = a² · ∂C/∂z³    [n₂×1]·[1×n₃]"),
        ("denominator", "∂C/∂a² = W³ᵀ · ∂C/∂z³    [n₂×n₃]·[n₃×1]"),
        ("denominator", "∂C/∂W¹ = ∂C/∂z¹ · xᵀ    [n₁×1]·[1×n₀]"),
        ("kronecker", "vec(W̄³)ᵀ = δ³ᵀ (a²ᵀ ⊗ I_n₃)    [1×n₃]·[n₃×n₃·n₂]"),
        ("einsum", "ā² = einsum('j,ji→i', δ³, W³)"),
        ("vjp", "ā³ = (a³ − y)/n₃"),
        ("vjp", "W̄³ = δ³ a²ᵀ"),
        ("vjp", "ā² = W³ᵀ δ³"),
        ("vjp", "δ² = σ′(z²) ⊙ ā²"),
    ],
)
def test_the_network_reads_as_a_person_would_write_it(three_layers: Derivation, style: str, line: str) -> None:
    assert line in [str(each) for each in three_layers[style].lines]


def test_the_differential_names_each_move(three_layers: Derivation) -> None:
    (line,) = [each for each in three_layers["differential"].lines if each.target == "w3"]
    assert line.text.splitlines() == [
        "dC = ⟨δ³, dW³ a²⟩",
        "   = ⟨δ³ a²ᵀ, dW³⟩    · a² moves over as · a²ᵀ",
        "W̄³ = δ³ a²ᵀ",
    ]


def test_the_function_is_given_once_and_what_else_is_named(three_layers: Derivation) -> None:
    assert [str(line) for line in three_layers.forward][-2:] == ["a³ = σ(z³)", "C = (Σ (a³ − y)²)/(2 n₃)"]
    assert [str(line) for line in three_layers.where] == ["σ(t) = 1/(1 + exp(−t))", "σ′(t) = exp(−t)/(1 + exp(−t))²"]


def test_lines_come_in_the_order_in_which_they_are_computed(three_layers: Derivation) -> None:
    for formula in three_layers:
        seen = [line.target for line in formula.lines]
        assert seen[:5] == ["a3", "z3", "w3", "b3", "a2"]
        assert seen[-3:] == ["x", "w1", "b1"]


@pytest.mark.parametrize(
    ("f", "shapes", "lines"),
    [
        (compositions.batch_columns, ("k d", "d N", "k"), ("W̄ = g Xᵀ", "X̄ = Wᵀ g", "b̄ = g 1_N")),
        (compositions.batch_rows, ("N d", "d k", "k"), ("X̄ = g Wᵀ", "W̄ = Xᵀ g", "b̄ = gᵀ 1_N")),
        (compositions.batch_rows_out_in, ("N d", "k d", "k"), ("X̄ = g W", "W̄ = gᵀ X", "b̄ = gᵀ 1_N")),
        (compositions.batch_columns_in_out, ("d k", "d N", "k"), ("W̄ = X gᵀ", "X̄ = W g", "b̄ = g 1_N")),
    ],
)
def test_the_linear_layer_in_all_four_conventions(f: Any, shapes: tuple[str, ...], lines: tuple[str, ...]) -> None:
    d = derive(f, *shapes, wrt=(0, 1, 2), style="vjp")
    assert tuple(map(str, d["vjp"].lines)) == lines


def test_activations_keep_their_names() -> None:
    def f(x: Array) -> Array:
        return jax.nn.silu(jnp.tanh(jax.nn.relu(nn.gelu(x)))).sum()

    d = derive(f, "n")
    assert str(d.forward[-1]) == "C = Σ silu(u₂)"
    written = d["vjp"].text()
    assert all(f"{name}′(" in written for name in ("silu", "tanh", "relu", "gelu"))
    assert "relu′(t) = [t > 0]" in [str(line) for line in d.where]


def test_two_calls_on_one_line_are_two_functions_of_one_name() -> None:
    def f(x: Array, y: Array) -> Array:
        return compositions.sigma(x) * compositions.sigma(y)

    d = derive(f, "n", "n", wrt=(0, 1), style="vjp")
    assert [str(line) for line in d["vjp"].lines] == ["x̄ = σ′(x) ⊙ σ(y) ⊙ g", "ȳ = σ′(y) ⊙ σ(x) ⊙ g"]


@pytest.mark.parametrize(
    ("value", "text", "latex"),
    [
        (Fraction(-1, 2), "−1/2", r"-\frac{1}{2}"),
        (5**0.5, "√5", r"\sqrt{5}"),
        (7**-0.5, "1/√7", r"\frac{1}{\sqrt{7}}"),
        (1e-6, "10⁻⁶", r"{10}^{-6}"),
        (0.044715, "0.044715", "0.044715"),
    ],
)
def test_numbers(value: Any, text: str, latex: str) -> None:
    assert number(value, SCRIPTS["text"]).code == text
    assert number(value, SCRIPTS["latex"]).code == latex


# --------------------------------------------------------------------------------------- layouts, and values


def test_values_are_in_the_notations_own_layout() -> None:
    w, x, g = k(5, 3), k(3, 7), k(5, 7)
    d = derive(lambda W, X: W @ X, w, x, wrt=(0, 1))
    wbar = np.asarray(g @ x.T)
    assert np.allclose(d["vjp"].value("W", g), wbar, rtol=1e-5)
    assert np.allclose(d["denominator"].value("W", g), wbar, rtol=1e-5)
    assert np.allclose(d["numerator"].value("W", g), wbar.T, rtol=1e-5)
    assert np.allclose(d["kronecker"].value("W", g), vec(wbar, "F")[None], rtol=1e-5)
    assert np.allclose(unvec(d["kronecker"].value("W", g), (5, 3)), d["kronecker"].gradient("W", g))
    assert np.allclose(d["vjp"].value(), jax.grad(lambda w: (w @ x).sum())(w), rtol=1e-5)
    assert str(d["kronecker"].lines[0]) == "vec(W̄)ᵀ = vec(g)ᵀ (Xᵀ ⊗ I_5)    [1×35]·[35×15]"
    assert str(d["kronecker"].lines[1]) == "vec(X̄)ᵀ = vec(g)ᵀ (I_7 ⊗ W)    [1×35]·[35×21]"


def test_values_between_have_lines_too() -> None:
    args = [jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(3,), (5, 3), (5,)])]
    d = derive(compositions.layer, args[1], args[0], args[2], wrt="w")
    z = args[1] @ args[0] + args[2]
    assert np.allclose(d["index"].value("z"), jax.grad(lambda z: compositions.sigma(z).sum())(z), rtol=1e-5)


def test_by_vec_where_no_product_of_matrices_says_it() -> None:
    d = derive(compositions.tensor_contraction, "b i j", "b j k")
    assert str(d["numerator"].lines[0]).startswith("∂C/∂vec(a) = ∂C/∂vec(y) · (Σ_")
    assert d["numerator"].value().shape == (1, 3 * 5 * 7)
    assert d["denominator"].value().shape == (3 * 5 * 7, 1)


def test_large_kronecker_factors_are_not_formed() -> None:
    d = derive(lambda W, x: jnp.tanh(W @ x), k(512, 784), k(784), style="kronecker")
    assert d["kronecker"].error < 1e-9


# ------------------------------------------------------------------------------------ names and dimensions


def test_equal_lengths_of_different_meaning_keep_their_names() -> None:
    d = derive(lambda x, w: x @ w, k(5, 5), k(5, 5), wrt=1, dims={"x": ("N", "d"), "w": ("d", "k")}, style="numerator")
    assert str(d["numerator"].lines[0]) == "∂C/∂w = ∂C/∂y · x    [k×N]·[N×d]"


def test_dimensions_by_length_and_from_shapes_in_words() -> None:
    by_length = derive(compositions.half_mean_squared_error, k(7), k(7), dims={"n": 7}, style="vjp")
    in_words = derive(compositions.half_mean_squared_error, "n", "n", style="vjp")
    assert by_length["vjp"].text() == in_words["vjp"].text() == "ā = (a − y)/n"
    assert derive(compositions.half_mean_squared_error, k(7), k(7), style="vjp")["vjp"].text() == "ā = (a − y)/7"


def test_trees_have_a_name_for_each_array() -> None:
    params = [{"w": k(3, 5)}, {"w": k(5, 2)}]
    d = derive(lambda params, x: jnp.tanh(x @ params[0]["w"]) @ params[1]["w"], params, k(7, 3), style="vjp")
    assert [str(line) for line in d["vjp"].lines] == ["w̄₁ = uᵀ g", "ū = g w₁ᵀ", "z̄ = tanh′(z) ⊙ ū", "w̄₀ = xᵀ z̄"]


def test_arrays_from_outside_have_their_names() -> None:
    W = k(5, 3)
    d = derive(lambda x: jnp.tanh(x @ W), k(7, 5), style="vjp")
    assert [str(line) for line in d["vjp"].lines] == ["z̄ = tanh′(z) ⊙ g", "x̄ = z̄ Wᵀ"]
    assert "W: 5×3, of the function itself" in [str(line) for line in d.where]


def test_an_argument_itself() -> None:
    assert str(derive(lambda x: x, k(7), style="vjp")["vjp"].lines[0]) == "x̄ = g"


def test_rules_are_looked_into() -> None:
    d = derive(nn.softmax, "n c", style="index")
    assert d["index"].lines[-1].target == "x"
    assert vjpkit.derive is derive


# -------------------------------------------------------------------------------- what is wrong is not shown


def drop_transposes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays.Turned, "numbers", lambda self, at: self.a.numbers(at))


def exchange_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    flipped = lambda f: f[::-1]  # noqa: E731
    as_made = maps.Contract.__init__

    def made(self: Any, a: Any, fixed: str, *rest: Any) -> None:
        as_made(self, a, flipped(fixed) if len(fixed) == 2 else fixed, *rest)

    monkeypatch.setattr(maps.Contract, "__init__", made)


def vec_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kronecker.Vec, "numbers", lambda self, at: self.a.full(at).reshape(-1, 1))


def move_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differential, "forward", lambda m, x: x)


@pytest.mark.parametrize(
    ("plant", "wrong"),
    [
        (drop_transposes, {"vjp", "denominator", "numerator", "differential"}),
        (exchange_nothing, set(STYLES)),
        (vec_of_rows, {"kronecker"}),
        (move_nothing, {"differential"}),
    ],
)
def test_a_formula_that_fails_is_never_shown(
    plant: Callable[[pytest.MonkeyPatch], None], wrong: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On squares, where every shape fits; at a symmetric weight, where a transpose is seen at the other point alone."""
    a = k(3, 3)
    plant(monkeypatch)
    d = derive(lambda w, x: jnp.tanh(w @ x), a + a.T, k(3, 3), wrt=(0, 1))
    assert wrong <= set(d.left_out)
    assert set(d.styles) | set(d.left_out) == set(STYLES)
    for style in wrong:
        assert "came out wrong" in d.left_out[style]
        assert f"\n{style}: " not in str(d)
        with pytest.raises(DeriveError, match=f"no {style} formula"):
            d[style]


def test_a_derivative_that_is_not_the_functions_own_has_no_formula() -> None:
    d = derive(lambda x: nn.clip_gradient(x, -0.1, 0.1), k(7))
    assert d.styles == ()
    assert set(d.left_out) == set(STYLES)


def test_a_notation_that_cannot_say_it_gives_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise layouts.Inexpressible("no matrix today")

    monkeypatch.setattr(layouts, "jacobian", refuse)
    d = derive(jnp.tanh, "n")
    assert d.left_out == {"kronecker": "no matrix today"}
    assert "kronecker is left out: no matrix today" in str(d)
    assert "kronecker is left out: no matrix today" in d.markdown()


def test_components_are_computed_from_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of index notation come from its own factors: without one, they are wrong."""
    monkeypatch.setattr(components, "entries", lambda f, own, sizes, array: np.ones([sizes[c][0] for c in own]))
    assert "index" in derive(compositions.batch_columns, "k d", "d n", "k").left_out


# ------------------------------------------------------------------------------------------- LaTeX, Markdown


@pytest.mark.parametrize(
    "f", [compositions.network, compositions.layer_norm, compositions.batched_attention, compositions.sliced]
)
def test_latex_compiles(f: Callable[..., Any]) -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext")
    c = next(c for c in COMPOSITIONS if c.f is f)
    d = derive(f, *c.arguments(False), wrt=c.wrt, dims=c.dims)
    parser = mathtext.MathTextParser("path")
    for line in [*d.forward, *d.where, *(line for formula in d for line in formula.lines)]:
        for row in line.latex.split("\n"):
            assert not set(row) & set("ᵀ⊙⊗Σ∂⟨⟩₁¹̄−·√×")
            parser.parse(f"${row}$")


def test_it_is_printed_in_three_ways(three_layers: Derivation) -> None:
    assert r"\bar{W}^{3} &= \delta^{3} \, {a^{2}}^{\top}" in three_layers.latex("vjp")
    assert three_layers.latex("vjp").startswith("\\begin{aligned}\n")
    assert three_layers.latex().count(r"\begin{aligned}") == len(STYLES) + 2
    assert "$$\n\\begin{aligned}" in three_layers.markdown()
    assert three_layers._repr_markdown_() == three_layers.markdown()
    assert three_layers._repr_latex_().count("$$") == 2 * (len(STYLES) + 2)
    assert three_layers["vjp"]._repr_latex_() == f"$$\n{three_layers['vjp'].latex()}\n$$"


@pytest.mark.parametrize(("flag", "sign"), [("--markdown", "**vjp**"), ("--latex", r"\bar{a} &= \frac{a - y}{n}")])
def test_the_command(flag: str, sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["derive", "tests.evidence.compositions:half_mean_squared_error", "--args", "n", "n", "--style", "vjp"]
    assert main(asked) == 0
    assert capsys.readouterr().out.endswith("vjp: every cotangent has the shape of its value\n    ā = (a − y)/n\n")
    assert main([*asked, "--wrt", "1", "a", flag]) == 0
    assert sign in capsys.readouterr().out
    assert main([*asked, "--wrt", "z"]) == 2
    assert "no argument 'z' among a, y" in capsys.readouterr().err
    assert main([*asked, "--format", "html"]) == 2
    assert "no format html" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- refusals


def rounded(x: Array) -> Array:
    return jnp.sort(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: derive(3, k(2)), "expected a function, got int"),
        (lambda: derive(jnp.sin), "needs arguments"),
        (lambda: derive(jnp.sin, k(3), style="matrix"), "no style 'matrix'; there are index, numerator"),
        (lambda: derive(jnp.sin, k(3), style="vjp")["index"], "no style 'index' here; there are vjp"),
        (lambda: derive(jnp.sin, k(3), wrt=1), "no argument 1 among x"),
        (lambda: derive(jnp.sin, k(3), wrt="y"), "no argument 'y' among x"),
        (lambda: derive(jnp.matmul, k(2, 3), k(2, 3)), "matmul itself fails at its arguments: TypeError"),
        (lambda: derive(layers.two_outputs, k(2, 3), k(3, 5)), "returns float64, float64; formulas are for one array"),
        (lambda: derive(jnp.argmax, k(3)), "argmax returns int"),
        (lambda: derive(layers.embedding, k(5, 3), jnp.arange(3), wrt=1), "argument ids of embedding is int"),
        (lambda: derive(lambda x, y: x * 2, k(3), k(3), wrt=1), "does not depend on y: its derivative is 0"),
        (lambda: derive(jnp.sin, k(3), names={"z": "w"}), "names: no value 'z'; there are x"),
        (lambda: derive(jnp.sin, k(3), dims={"z": ("n",)}), "dims: no argument 'z' among x"),
        (lambda: derive(jnp.sin, k(3), dims={"x": ("n", "m")}), r"x has shape \[3\], got 2 names: n, m"),
        (lambda: derive(jnp.sin, k(3), dims={"n": 5}), "n is 5, and no argument has an axis of that length"),
        (lambda: derive(jnp.sin, k(3), dims={"n": 3, "m": 3}), "n and m are both 3; name them by argument"),
        (lambda: derive(jnp.add, k(3), k(3), dims={"x0": ("n",), "x1": ("m",)}), "brings together an axis that is"),
        (lambda: derive(jnp.outer, k(3), k(5), dims={"a": ("n",), "b": ("n",)}), "n is 3 in one place, 5 in axis 0"),
        (lambda: derive(layers.convolution, "b i i c", "3 3 c o"), r"conv_general_dilated is not covered \(at layers"),
        (lambda: derive(rounded, k(3)), r"sort is not covered \(at test_derive.py:\d+\)"),
        (lambda: derive(jnp.sqrt, -(k(3) ** 2)), "not finite at its arguments"),
        (lambda: derive(jnp.sin, k(3))["vjp"].value("z"), "no line for 'z'; there are x"),
        (lambda: derive(jnp.sin, k(3))["vjp"].value("x", k(5)), r"has the output's shape \[3\], got \[5\]"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(DeriveError, match=message):
        call()


@pytest.mark.parametrize("name", ["recurrent", "linear_recurrence", "switched", "convolution", "average_pool"])
def test_what_is_not_covered_is_named_with_its_line(name: str) -> None:
    f, args = next(row for row in layers.layers() if row[0].__name__ == name)
    wrt = next(
        i for i, a in enumerate(args) if type(a).__name__ == "Draw" or jnp.issubdtype(jnp.asarray(a).dtype, float)
    )
    with pytest.raises(
        DeriveError, match=r"(scan|cond|conv_general_dilated|reduce_window_sum) is not covered \(at layers"
    ):
        derive(f, *args, wrt=wrt)
