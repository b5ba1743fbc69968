"""Trains a tiny byte-level language model, in one file, with the standard library only.

The model is the neural n-gram of Bengio and others (2003), with one table a position in place of shared
embeddings:

    hidden = tanh(b + sum over positions k of TABLE[k][byte k])        p(next) = softmax(c + OUT @ hidden)

It is trained by stochastic gradient descent, one byte at a time; the gradients are written out by hand. The only
randomness is ORG_SEED, which draws the first weights and the order of the data from two separate streams, so
that a change of shape does not change the order. The same seed gives the same bits.
"""

import json
import math
import os
import random
import sys

sys.dont_write_bytecode = True      # a run leaves nothing behind in the worktree

from evalset import ALPHABET, TRAIN, val_bpb

# What an experiment may change, one constant a line.
LR = 0.03
DECAY_TO = 0.1
INIT = 0.1
CONTEXT = 3
HIDDEN = 12
STEPS = 2000
LOSS_SCALE = 1.0

VOCAB = len(ALPHABET)
SEED = os.environ.get("ORG_SEED", "0")
init = random.Random("init " + SEED)
data = random.Random("data " + SEED)

# A multiply and an add for each weight that takes part: once forward, twice backward.
weights_in_use = CONTEXT * HIDDEN + HIDDEN + HIDDEN * VOCAB + VOCAB
print(f"params: {CONTEXT * VOCAB * HIDDEN + HIDDEN + VOCAB * HIDDEN + VOCAB}")
print(f"flops: {6 * weights_in_use * STEPS}")
print(f"tokens: {STEPS}", flush=True)


def matrix(rows, columns):
    return [[init.gauss(0.0, INIT) for _ in range(columns)] for _ in range(rows)]


table = [matrix(VOCAB, HIDDEN) for _ in range(CONTEXT)]
bias = [0.0] * HIDDEN
out = matrix(VOCAB, HIDDEN)
out_bias = [0.0] * VOCAB


def forward(ids):
    """Hidden activations, unnormalised probabilities, and their sum."""
    rows = [table[k][ids[k]] for k in range(CONTEXT)]
    hidden = [math.tanh(sum(column)) for column in zip(bias, *rows)]
    logits = [c + sum(map(float.__mul__, row, hidden)) for c, row in zip(out_bias, out)]
    top = max(logits)
    weights = [math.exp(z - top) for z in logits]
    return rows, hidden, weights, sum(weights)


def log_prob(ids, following):
    _, _, weights, total = forward(ids)
    return math.log(weights[following] / total)


def learning_rate(step):
    """Linear from LR to DECAY_TO * LR."""
    return LR * (1.0 + (DECAY_TO - 1.0) * step / STEPS)


def train_step(step):
    at = data.randrange(CONTEXT, len(TRAIN))
    ids, target = TRAIN[at - CONTEXT:at], TRAIN[at]
    rows, hidden, weights, total = forward(ids)

    scale = LOSS_SCALE / total
    slope = [w * scale for w in weights]                  # d loss / d logit = p - [target]
    slope[target] -= LOSS_SCALE
    rate = learning_rate(step) / LOSS_SCALE

    back = [0.0] * HIDDEN
    for j, g in enumerate(slope):
        row, step_size = out[j], rate * g
        back = [b + g * w for b, w in zip(back, row)]
        out[j] = [w - step_size * h for w, h in zip(row, hidden)]
        out_bias[j] -= step_size
    back = [rate * b * (1.0 - h * h) for b, h in zip(back, hidden)]
    for i, b in enumerate(back):
        bias[i] -= b
        for row in rows:
            row[i] -= b


for step in range(STEPS):
    train_step(step)
    if (step + 1) % (STEPS // 10) == 0:
        print(f"step {step + 1}/{STEPS}", flush=True)

print(f"val_bpb: {val_bpb(log_prob, CONTEXT):.6f}")

# For the lab, where it measures the model itself.
if "ORG_OUT" in os.environ:
    with open(os.path.join(os.environ["ORG_OUT"], "model.json"), "w") as file:
        json.dump({"table": table, "bias": bias, "out": out, "out_bias": out_bias}, file)
