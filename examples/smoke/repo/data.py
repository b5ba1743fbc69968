"""The task: a noisy linear map, and the held-out set that scores a fit. Protected: it is the ruler."""

import random

DIM = 8
NOISE = 0.3

_world = random.Random("the world")                       # the same for every run
_truth = [_world.gauss(0.0, 1.0) for _ in range(DIM)]


def sample(rng):
    """One observation (x, y) drawn with the caller's randomness."""
    x = [rng.gauss(0.0, 1.0) for _ in range(DIM)]
    y = sum(w * v for w, v in zip(_truth, x)) + rng.gauss(0.0, NOISE)
    return x, y


def held_out_loss(predict):
    """Mean squared error on 400 observations that are the same for every run."""
    rng = random.Random("held out")
    pairs = [sample(rng) for _ in range(400)]
    return sum((predict(x) - y) ** 2 for x, y in pairs) / len(pairs)
