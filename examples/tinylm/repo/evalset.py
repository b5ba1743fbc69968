"""The data and the ruler. Protected: a claim that changes this file is refused.

The text is read as bytes. The bytes that occur in it are the alphabet, the last eighth of it is held out, and
val_bpb is the mean number of bits that a model needs for a held-out byte.
"""

import math
import os

_HERE = os.path.dirname(os.path.abspath(__file__))

with open(os.path.join(_HERE, "text.txt"), "rb") as file:
    _bytes = file.read()

ALPHABET = bytes(sorted(set(_bytes)))
_index = {byte: i for i, byte in enumerate(ALPHABET)}
_ids = [_index[byte] for byte in _bytes]
_cut = len(_ids) * 7 // 8

TRAIN = _ids[:_cut]
_HELD_OUT = _ids[_cut:]


def hidden():
    """The held-out text of the lab where it is laid beside this file, which it is for the lab's evaluation only; else the
    visible one."""
    path = os.path.join(_HERE, "holdout.txt")
    if not os.path.exists(path):
        return _HELD_OUT
    with open(path, "rb") as file:
        return [_index[byte] for byte in file.read()]


def val_bpb(log_prob, context, ids=_HELD_OUT):
    """Bits per held-out byte. `log_prob(ids, next)` is the model's natural logarithm of p(next | ids)."""
    nats = 0.0
    count = 0
    for at in range(context, len(ids)):
        nats -= log_prob(ids[at - context:at], ids[at])
        count += 1
    return nats / count / math.log(2.0)
