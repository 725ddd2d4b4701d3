"""Hold a rule, or any JAX function with custom rules in it, against the truth.

    report = check(rule, *args)                      a vjpkit rule
    report = check(fn, *args)                        any JAX callable: custom_vjp, custom_jvp, optax, flax, equinox
    report = check_vjp(f, candidate_vjp, *args)      a bare formula: candidate_vjp(g, *args) -> cotangents
    report = check_jvp(f, candidate_jvp, *args)      a bare formula: candidate_jvp(dots, *args) -> tangent
    report = check_case(case)                        a `vjpkit.core.Case`: its draws, options, special points

An argument is an array, a number, a pytree of them, a draw (`vjpkit.core.draw.normal(3, 5)`), a
`jax.ShapeDtypeStruct`, or a shape in words: `"b i"`, `"int b < o"`, `"bool b i"`, `"b 4"`, where each letter
becomes a prime of its own. Everything else, a string or a function, is passed on as it is.

Options, all by keyword, the same for each of the calls above:
    reference   a function to take autodiff of; left out: fn with every custom rule taken out
    static      a mapping of keyword options handed to fn (and to the reference)
    special     points to run in both modes beside the drawn ones: tuples of arguments, or `vjpkit.core.Special`
    value       an independent function of the value, of float64 NumPy arguments (NumPy, SciPy)
    checks      names of `CHECKS` to run; all of them if left out
    dtypes      lower dtypes to audit: ("float32", "bfloat16", "float16")
    seed        of every draw: 0
    tol         multiplies the derived bounds: 1.0
    thorough    more draws, more subsets for vmap: False

    report.ok                    whether nothing failed
    report.results               one `Result` a line: check, argument, error, bound, power, verdict, note
    report.findings              `Finding`s, failures first: check, argument, level, what, where, cause, advice
    report.failures, .notes      the findings of one level
    report.gaps                  `Gap`s: what a check did not cover, and why
    report.warnings              what the given arguments may hide
    report.seconds               what it cost
    report.reproduce             a line of Python
    report.to_dict(), .to_json()
    report.raise_if_failed()     raises CheckFailed, an AssertionError, with the failures as its text
    print(report)                a table; rich where it is installed and the output is a terminal

XLA compiles the function itself, in every dtype. Programs in float64 that run a few times, autodiff of the reference
and what nests or transforms a derivative, are evaluated from their jaxprs by NumPy, which takes less time than to
compile them; where something seems wrong there, XLA gives those numbers too before it is called so.

`CheckError`, a ValueError, is raised where the question itself is wrong: fn fails, its output is no float,
nothing can be differentiated, an argument is NaN or was donated.
"""

from vjpkit.check.checker import CHECKS as CHECKS
from vjpkit.check.checker import check as check
from vjpkit.check.checker import check_case as check_case
from vjpkit.check.checker import check_jvp as check_jvp
from vjpkit.check.checker import check_vjp as check_vjp
from vjpkit.check.errors import CheckError as CheckError
from vjpkit.check.errors import CheckFailed as CheckFailed
from vjpkit.check.report import Finding as Finding
from vjpkit.check.report import Gap as Gap
from vjpkit.check.report import Report as Report
from vjpkit.check.report import Result as Result
