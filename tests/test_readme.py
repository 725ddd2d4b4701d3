"""The README does what it says: its Python runs, block after block, and its shell is two commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, int]]:
    """Language, text and first line of each fenced block."""
    text = README.read_text(encoding="utf8")
    return [(m[1], textwrap.dedent(m[2]), text[: m.start()].count("\n") + 2) for m in FENCE.finditer(text)]


def test_the_python_blocks_run(tmp_path: Path) -> None:
    """In order, in one namespace, in a process of their own, for users have neither x64 nor eight devices."""
    python = [(text, line) for language, text, line in blocks() if language == "python"]
    assert python, "the README shows no Python"
    program = tmp_path / "readme.py"
    parts = [f"exec(compile({chr(10) * (line - 1) + text!r}, {str(README)!r}, 'exec'))" for text, line in python]
    program.write_text("\n".join(parts), encoding="utf8")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_", "VJPKIT_"))}
    env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), env.get("PYTHONPATH", "")]), "PYTHONWARNINGS": "error"}
    done = subprocess.run([sys.executable, program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_shell_is_two_commands() -> None:
    """One installs and runs the main job, the other installs and runs the tests."""
    shell = [text for language, text, _ in blocks() if language in ("bash", "sh", "shell", "console")]
    lines = "".join(shell).replace("\\\n", " ").splitlines()
    commands = [line for line in lines if line.strip() and not line.startswith("#")]
    assert len(commands) == 2, commands
    assert all("pip install" in c for c in commands)
    assert "examples/train_digits.py" in commands[0]
    assert "pytest" in commands[1]
