"""Bits per byte on the held-out shard. Protected: it is the ruler."""

import math

from nanochat.dataloader import shards
from nanochat.tokenizer import TOKEN_BYTES


def evaluate_bpb(model):
    nats = 0.0
    count = 0
    for pairs in shards("val"):
        for token, row in enumerate(pairs):
            logits, _ = model.forward(token)
            p = model.probabilities(logits)
            nats -= sum(n * math.log(q) for n, q in zip(row, p))
            count += sum(n * size for n, size in zip(row, TOKEN_BYTES))
    return nats / math.log(2.0) / count
