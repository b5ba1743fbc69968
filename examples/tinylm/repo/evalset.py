"""The data and the ruler. Protected: a claim that changes this file is refused.

The text is read as bytes. The bytes that occur in it are the alphabet, the last eighth of it is held out, and
val_bpb is the mean number of bits that a model needs for a held-out byte.
"""

import math
import os

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "text.txt"), "rb") as file:
    _bytes = file.read()

ALPHABET = bytes(sorted(set(_bytes)))
_index = {byte: i for i, byte in enumerate(ALPHABET)}
_ids = [_index[byte] for byte in _bytes]
_cut = len(_ids) * 7 // 8

TRAIN = _ids[:_cut]
_HELD_OUT = _ids[_cut:]


def val_bpb(log_prob, context):
    """Bits per held-out byte. `log_prob(ids, next)` is the model's natural logarithm of p(next | ids)."""
    nats = 0.0
    count = 0
    for at in range(context, len(_HELD_OUT)):
        nats -= log_prob(_HELD_OUT[at - context:at], _HELD_OUT[at])
        count += 1
    return nats / count / math.log(2.0)
