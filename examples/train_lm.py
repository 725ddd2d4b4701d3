"""Train a small language model on the source code of Python's standard library, every derivative written by hand.

    python examples/train_lm.py                      four layers of width 256, sequences of 1,024, 16,384 byte pairs
    python examples/train_lm.py --baseline           beside the same model in jax.nn, optax and autodiff, step by step
    python examples/train_lm.py --resume             go on from the last checkpoint in the folder of --out
    python examples/train_lm.py --devices 4          each batch divided over four devices

Writes checkpoints, the curve of the loss and a sample of what the model writes. With --baseline it prints how many
times as long, and how much more temp memory, a step of plain JAX takes, and what either learns from the same batches.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import lm_model
import lm_text
import numpy as np
import optax
import orbax.checkpoint as ocp
from common import Curve, folder, picture_of_loss, positive, row_of_devices, whole
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from lm_model import OURS, PLAIN, Layers, Params
from tqdm import tqdm

from vjpkit import nn

WHOLE, DIVIDED = PartitionSpec(), PartitionSpec("batch")
State = dict[str, Any]  # params, and what the optimiser remembers
Step = Callable[[State, Any], tuple[State, Any]]


# ---------------------------------------------------------------------------------------------------- a step


def optimiser(options: argparse.Namespace) -> optax.GradientTransformation:
    """AdamW with a warm-up of a tenth of the steps, then a cosine."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0, options.learning_rate, max(options.steps // 10, 1), max(options.steps, 2)
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.95, weight_decay=0.1))


def loss_on(mesh: Mesh, layers: Layers, options: argparse.Namespace) -> Callable[[Params, Any], Any]:
    """The mean loss of a batch that is divided over the devices, the layers computed in the precision asked for."""

    def loss(params: Params, tokens: Any) -> Any:
        cast = jax.tree.map(lambda a: a.astype(options.precision), params)
        return jax.lax.pmean(lm_model.loss(layers, cast, tokens, options.heads).astype(jnp.float32), "batch")

    return jax.shard_map(loss, mesh=mesh, in_specs=(WHOLE, DIVIDED), out_specs=WHOLE)


def stepper(mesh: Mesh, layers: Layers, options: argparse.Namespace) -> Any:
    """One step of training, jitted: state and tokens to state and loss."""
    loss, update = loss_on(mesh, layers, options), optimiser(options).update

    def step(state: State, tokens: Any) -> tuple[State, Any]:
        value, params_bar = jax.value_and_grad(loss)(state["params"], tokens)
        updates, memory = update(params_bar, state["memory"], state["params"])
        return {"params": optax.apply_updates(state["params"], updates), "memory": memory}, value

    return jax.jit(step, donate_argnums=0)


# -------------------------------------------------------------------------------------------------- training


class Run:
    """One model in training."""

    def __init__(self, layers: Layers, options: argparse.Namespace, mesh: Mesh, held_out: np.ndarray) -> None:
        shape = lm_model.Shape(options.layers, options.width, options.heads, options.hidden, options.vocabulary)
        params = lm_model.initial(shape, options.seed)
        state = {"params": params, "memory": optimiser(options).init(params)}
        self.state = jax.device_put(state, NamedSharding(mesh, WHOLE))
        self.tokens = NamedSharding(mesh, DIVIDED)
        self.held_out = jax.device_put(held_out, self.tokens)
        self.compiled = stepper(mesh, layers, options).lower(self.state, self.on_devices(held_out[0])).compile()
        self._loss = jax.jit(loss_on(mesh, layers, options))
        self.curve = Curve([], [])
        self.seconds: list[float] = []

    def on_devices(self, tokens: np.ndarray) -> Any:
        return jax.device_put(tokens, self.tokens)

    def step(self, tokens: np.ndarray) -> None:
        """Learn from a batch; how long that took is remembered."""
        start = time.perf_counter()
        self.state, value = self.compiled(self.state, self.on_devices(tokens))
        self.curve.batch.append(float(value))
        self.seconds.append(time.perf_counter() - start)

    def held_out_loss(self) -> float:
        """In nats a token."""
        return float(np.mean([self._loss(self.state["params"], self.on_devices(batch)) for batch in self.held_out]))

    @property
    def temp_bytes(self) -> int:
        """Of one step, beside parameters, the optimiser's memory and the batch."""
        return self.compiled.memory_analysis().temp_size_in_bytes


def train(runs: Sequence[Run], text: lm_text.Corpus, options: argparse.Namespace, kept: ocp.CheckpointManager) -> None:
    """All steps that are left, of each run in turn on the same batches."""
    first = 0
    if options.resume and kept.latest_step() is not None:
        first = kept.latest_step()
        runs[0].state = kept.restore(first, args=ocp.args.StandardRestore(runs[0].state))
    every = max(options.steps // 10, 1)
    with tqdm(range(first, options.steps), desc="training", unit="step", initial=first, total=options.steps) as bar:
        for i in bar:
            tokens = lm_text.batch(text.learn, options.batch_size, options.sequence, (options.seed, i))
            for run in runs:
                run.step(tokens)
            if (i + 1) % every == 0 or i + 1 == options.steps:
                for run in runs:
                    run.curve.held_out.append((i + 1 - first, run.held_out_loss()))
                kept.save(i + 1, args=ocp.args.StandardSave(runs[0].state))
            bar.set_postfix(loss=f"{runs[0].curve.batch[-1]:.3f}")
    kept.wait_until_finished()


# ---------------------------------------------------------------------------------------------------- a sample


def sample(params: Params, prompt: np.ndarray, options: argparse.Namespace) -> np.ndarray:
    """The prompt, continued token by token at a temperature of 0.8."""
    length = min(len(prompt) + options.sample, options.sequence)

    @jax.jit
    def following(ids: Any, i: Any, key: Any) -> Any:
        x = lm_model.features(OURS, params, ids[None], options.heads)[0, i]
        return jax.random.categorical(jax.random.fold_in(key, i), nn.attend(x, params["table"]) / 0.8)

    ids = np.zeros(length, np.int32)
    ids[: len(prompt)] = prompt
    key = jax.random.key(options.seed)
    for i in range(len(prompt) - 1, length - 1):
        ids[i + 1] = following(ids, i, key)
    return ids


# -------------------------------------------------------------------------------------------------------- main


def command() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = functools.partial(parser.add_argument, metavar="N")
    add("--steps", type=whole(1), default=200, help="of the optimiser (default: %(default)s)")
    add("--batch-size", type=whole(1), default=4, help="sequences in a step (default: %(default)s)")
    add("--sequence", type=whole(2), default=1024, help="tokens in a sequence (default: %(default)s)")
    add("--layers", type=whole(1), default=4, help="(default: %(default)s)")
    add("--width", type=whole(2), default=256, help="of x (default: %(default)s)")
    add("--heads", type=whole(1), default=4, help="of the attention (default: %(default)s)")
    add("--hidden", type=whole(1), default=704, help="width of the gated blocks (default: %(default)s)")
    add("--vocabulary", type=whole(256), default=16384, help="byte pairs; 256: bytes (default: %(default)s)")
    add("--learning-rate", type=positive, default=2e-3, metavar="X", help="the highest (default: %(default)s)")
    add("--seed", type=whole(0), default=0, help="of parameters, batches and sample (default: %(default)s)")
    add("--sample", type=whole(0), default=100, help="tokens to write at the end (default: %(default)s)")
    add("--devices", type=whole(1), default=1, help="divide each batch over N devices (default: %(default)s)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of the layers")
    parser.add_argument("--baseline", action="store_true", help="beside the same model in jax.nn, optax and autodiff")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the folder of --out")
    parser.add_argument("--out", type=folder, default=Path("out"), help="folder of all output (default: %(default)s)")
    return parser


def check(options: argparse.Namespace) -> None:
    """ValueError for sizes that do not fit one another."""
    if options.width % (2 * options.heads):
        raise ValueError(f"--width {options.width} is not an even number for each of --heads {options.heads}")
    if options.batch_size % options.devices:
        raise ValueError(f"--batch-size {options.batch_size} cannot be divided evenly over --devices {options.devices}")
    if options.resume and options.baseline:
        raise ValueError("--baseline trains both models from the start: there is nothing to --resume")


def beside(ours: Run, plain: Run) -> str:
    """Time, memory and loss of the two, medians over the steps."""
    time_ratio = np.median(np.divide(plain.seconds, ours.seconds))
    lines = [f"{'':10}{'a step':>10}{'temp memory':>16}{'held out':>20}"]
    for name, run in (("vjpkit", ours), ("plain JAX", plain)):
        seconds, memory, loss = np.median(run.seconds), run.temp_bytes / 2**20, run.curve.held_out[-1][1]
        lines.append(f"{name:10}{seconds:8.2f} s{memory:12.1f} MiB{loss:9.3f} nats a token")
    return "\n".join([*lines, f"{'ratio':10}{time_ratio:8.2f} ×{plain.temp_bytes / ours.temp_bytes:12.1f} ×"])


def main(argv: Sequence[str] | None = None) -> int:
    """Train, draw, write; the exit status."""
    parser = command()
    options = parser.parse_args(argv)
    try:
        check(options)
        mesh = row_of_devices(options.devices)
    except ValueError as error:
        parser.error(str(error))

    text = lm_text.corpus(options.vocabulary, options.out)
    size = (options.batch_size, options.sequence)
    held_out = np.stack([lm_text.batch(text.hold, *size, (options.seed, i)) for i in range(4)])
    runs = [Run(layers, options, mesh, held_out) for layers in ((OURS, PLAIN) if options.baseline else (OURS,))]
    print(f"{len(text.learn):,} tokens to learn from, {len(text.hold):,} held out; "
          f"{sum(a.size for a in jax.tree.leaves(runs[0].state['params'])):,} parameters")  # fmt: skip
    checkpoints = (options.out / "checkpoints").absolute()
    with ocp.CheckpointManager(checkpoints, options=ocp.CheckpointManagerOptions(max_to_keep=2)) as kept:
        if kept.latest_step() is not None and not options.resume:
            parser.error(f"there are checkpoints in {checkpoints}: --resume to go on from them, or another --out")
        train(runs, text, options, kept)

    ours = runs[0]
    if not ours.curve.batch:
        print(f"The checkpoint is of step {options.steps} or later: more --steps to go on.", file=sys.stderr)
        return 1
    loss = ours.curve.held_out[-1][1]
    title = f"{loss:.3f} nats a token on files that were held out"
    picture_of_loss(ours.curve, "nats a token", "held-out files", title).savefig(options.out / "loss.png", dpi=120)
    prompt = np.asarray(text.tokenizer.encode("def __init__(self, ").ids)
    written = text.tokenizer.decode(sample(ours.state["params"], prompt, options).tolist())
    (options.out / "sample.txt").write_text(written, encoding="utf8")
    print(written, title, sep="\n\n")
    if options.baseline:
        print(beside(*runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
