"""Fits a small regression by SGD on seeded synthetic data, and prints what the lab measures.

The only source of randomness is ORG_SEED: it draws the start and the training samples. The same seed
gives the same bits.
"""

import os
import random
import sys

sys.dont_write_bytecode = True       # a run leaves nothing behind in the worktree

from config import LR, STEPS
from data import DIM, held_out_loss, sample

rng = random.Random("train " + os.environ.get("ORG_SEED", "0"))

print(f"params: {DIM + 1}")
print(f"flops: {STEPS * 6 * (DIM + 1)}")          # two for the prediction and four for the gradient, a weight
print(f"tokens: {STEPS}", flush=True)

weights = [rng.gauss(0.0, 0.1) for _ in range(DIM)]
bias = 0.0


def predict(x):
    return bias + sum(w * v for w, v in zip(weights, x))


for step in range(1, STEPS + 1):
    x, y = sample(rng)
    error = predict(x) - y
    for i in range(DIM):
        weights[i] -= LR * 2.0 * error * x[i]
    bias -= LR * 2.0 * error
    if step % 100 == 0:
        print(f"step {step}/{STEPS}", flush=True)

print(f"val_loss: {held_out_loss(predict):.6f}")
