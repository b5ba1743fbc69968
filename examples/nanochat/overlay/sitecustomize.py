"""Hands the harness's seed to a nanochat that has no seed flag, without touching a file that an agent may edit.

Python imports a module of this name at start when it finds one on PYTHONPATH. Upstream calls
torch.manual_seed(42) and torch.cuda.manual_seed(42), and reads its data shards in the order of their names, so
that every run would be the same run. With ORG_SEED set:

  torch.manual_seed, torch.cuda.manual_seed, torch.cuda.manual_seed_all
      take a seed derived from ORG_SEED and the number they are called with: 42 stays different from 43, and
      neither can be chosen by the code under test
  nanochat.dataset.list_parquet_files, and prepare.list_parquet_files in autoresearch
      return the training shards in an order drawn from ORG_SEED; the last shard, which is held out, stays last

Nanochat reads its data and writes its checkpoints in one directory, NANOCHAT_BASE_DIR. A measured run has one of its
own, which begins empty: what was prepared in ~/.cache/nanochat (tokenizer, data, evaluation) is linked into it here.

Nothing is imported here that the program does not import itself: the modules are changed at the moment they are first
imported. Where they are missing, or ORG_SEED is not set, nothing happens at all. Generators that a program makes
itself (torch.Generator().manual_seed) are left alone.
"""

import functools
import hashlib
import importlib.abc
import importlib.util
import os
import random
import sys


def _seed_for(seed, given):
    digest = hashlib.sha256(f"{seed}:{given}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1          # 63 bits: what torch accepts everywhere


def _reseed(function, seed):
    @functools.wraps(function)
    def seeded(given):
        return function(_seed_for(seed, given))

    return seeded


def _change_torch(torch, seed):
    # torch.manual_seed seeds the GPUs too, through its own reference to the module torch.cuda. It passes on a number
    # that is already derived; deriving it once more is harmless, and as deterministic.
    torch.manual_seed = _reseed(torch.manual_seed, seed)
    for name in ("manual_seed", "manual_seed_all"):
        setattr(torch.cuda, name, _reseed(getattr(torch.cuda, name), seed))


def _change_dataset(dataset, seed):
    listed = dataset.list_parquet_files

    @functools.wraps(listed)
    def in_drawn_order(*args, **kwargs):
        paths = list(listed(*args, **kwargs))
        training, held_out = paths[:-1], paths[-1:]
        random.Random(f"{seed}:shards").shuffle(training)
        return training + held_out

    dataset.list_parquet_files = in_drawn_order


PREPARED = ("tokenizer", "base_data", "eval_bundle")        # how the names begin of what nanochat only reads


def _link_prepared(base, prepared):
    if not os.path.isdir(prepared) or os.path.realpath(base) == os.path.realpath(prepared):
        return
    os.makedirs(base, exist_ok=True)
    for name in sorted(os.listdir(prepared)):
        if name.startswith(PREPARED):
            try:
                os.symlink(os.path.join(prepared, name), os.path.join(base, name))
            except FileExistsError:
                pass


class _ChangeOnImport(importlib.abc.MetaPathFinder):
    """Stands first among the finders, steps aside to find the module, and changes it once it has run."""

    def __init__(self, seed):
        self.seed = seed
        self.searching = False
        self.changes = {"torch": _change_torch, "nanochat.dataset": _change_dataset, "prepare": _change_dataset}

    def find_spec(self, name, path=None, target=None):
        change = self.changes.get(name)
        if change is None or self.searching:
            return None
        self.searching = True                               # so that the search below does not come back here
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.searching = False
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_change(module):
            run(module)
            change(module, self.seed)

        spec.loader.exec_module = run_and_change
        return spec


if os.environ.get("ORG_SEED"):
    sys.meta_path.insert(0, _ChangeOnImport(os.environ["ORG_SEED"]))
    if os.environ.get("NANOCHAT_BASE_DIR"):
        _link_prepared(os.environ["NANOCHAT_BASE_DIR"], os.path.expanduser("~/.cache/nanochat"))
