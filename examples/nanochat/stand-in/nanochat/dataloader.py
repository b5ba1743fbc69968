"""Shards of a synthetic text, the same for every run, in an order that the harness's seed draws. Protected.

A shard is kept as its counts of token pairs, which is all that the model can use of it.
"""

import os
import random

from nanochat.tokenizer import VOCAB_SIZE

SHARDS = 8
TOKENS_PER_SHARD = 1000

SEED = os.environ.get("ORG_SEED", "42")


def _source():
    rng = random.Random("climbmix")
    return [[rng.gammavariate(0.6, 1.0) + 0.02 for _ in range(VOCAB_SIZE)] for _ in range(VOCAB_SIZE)]


def _pairs(source, name):
    rng = random.Random(name)
    counts = [[0] * VOCAB_SIZE for _ in range(VOCAB_SIZE)]
    tokens = range(VOCAB_SIZE)
    at = 0
    for _ in range(TOKENS_PER_SHARD):
        following = rng.choices(tokens, source[at])[0]
        counts[at][following] += 1
        at = following
    return counts


def shards(split):
    """The shards of "train", or the one of "val"; the last one is held out, as in nanochat."""
    source = _source()
    names = [f"shard_{i:05d}" for i in range(SHARDS)]
    return [_pairs(source, name) for name in (names[:-1] if split == "train" else names[-1:])]


def training_batches(count):
    """One shard a step; each pass over the shards is shuffled anew."""
    parts = shards("train")
    rng = random.Random("order " + SEED)
    served = 0
    while True:
        rng.shuffle(parts)
        for part in parts:
            if served == count:
                return
            yield part
            served += 1
