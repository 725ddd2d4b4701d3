"""Real text that every machine has: the source code of Python's standard library, as tokens."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HELD_OUT = 20  # every twentieth file is held out
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__"}


class Corpus(NamedTuple):
    """Token ids of the files to learn from and of those held out, and what turns ids into text."""

    learn: np.ndarray
    hold: np.ndarray
    tokenizer: Tokenizer


def standard_library() -> list[str]:
    """The files' texts, in the order of their paths."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = (p for p in sorted(root.rglob("*.py")) if not LEFT_OUT & set(p.relative_to(root).parts))
    return [p.read_text(encoding="utf8", errors="replace") for p in paths]


def corpus(vocabulary: int, folder: Path) -> Corpus:
    """The standard library in byte pairs, of which a vocabulary of 256 has none: plain bytes.

    The pairs are learnt from the files to learn from alone, once, and kept in the folder.
    """
    texts = standard_library()
    hold = [t for i, t in enumerate(texts) if i % HELD_OUT == 0]
    learn = [t for i, t in enumerate(texts) if i % HELD_OUT]
    kept = folder / f"byte_pairs_{vocabulary}.json"
    if kept.exists():
        tokenizer = Tokenizer.from_file(str(kept))
    else:
        tokenizer = byte_pairs(learn, vocabulary)
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(kept))
    return Corpus(ids(tokenizer, learn), ids(tokenizer, hold), tokenizer)


def byte_pairs(texts: list[str], vocabulary: int) -> Tokenizer:
    """A byte-level tokenizer: every text has ids, and ids have their text again."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    bytes_alone = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=bytes_alone, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def ids(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """All texts, one after the other."""
    return np.concatenate([np.asarray(e.ids, np.int32) for e in tokenizer.encode_batch(texts)])


def batch(tokens: np.ndarray, size: int, length: int, seed: tuple[int, int]) -> np.ndarray:
    """[size, length + 1]: stretches of the text from anywhere; the same for the same seed."""
    starts = np.random.default_rng(seed).integers(len(tokens) - length, size=size)
    return np.stack([tokens[start : start + length + 1] for start in starts])
