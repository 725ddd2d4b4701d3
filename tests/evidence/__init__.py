"""The evidence for the checker, in three tables: planted bugs, false alarms, and other checkers beside it.

    python -m tests.evidence.mutants       every rule, spoiled mechanically in many ways
    python -m tests.evidence.alarms        right functions of JAX, SciPy and optax
    python -m tests.evidence.scoreboard    jax.test_util.check_grads and torch's gradcheck on the same bugs

With `--write` each puts its table into docs/checker/.
"""
