"""As much of torch as the stand-in uses: a generator that a program seeds, on the CPU and, so to say, on a GPU."""

import random
import types

_generator = random.Random()


def manual_seed(seed):
    _generator.seed(seed)


def _on_the_gpu(seed):
    """There is none; what would be drawn there is drawn here."""


def randn():
    return _generator.gauss(0.0, 1.0)


cuda = types.SimpleNamespace(
    manual_seed=_on_the_gpu,
    manual_seed_all=_on_the_gpu,
    max_memory_allocated=lambda: 4 << 20,
)
