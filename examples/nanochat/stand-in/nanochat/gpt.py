"""The model of the stand-in: next-token logits from one table, squashed by a softcap as in nanochat.

The gradient is written by hand: `forward` returns the logits and how much each of them moves with the raw logit.
"""

import math
from dataclasses import dataclass


@dataclass
class GPTConfig:
    vocab_size: int = 16
    n_layer: int = 1


class GPT:
    softcap = 15                # smoothly cap the logits to the range [-softcap, softcap]

    def __init__(self, config):
        self.config = config
        self.lm_head = [[0.0] * config.vocab_size for _ in range(config.vocab_size)]

    def init_weights(self, rng):
        for row in self.lm_head:
            row[:] = [rng.gauss(0.0, 0.02) for _ in row]

    def num_scaling_params(self):
        lm_head = sum(len(row) for row in self.lm_head)
        return {"lm_head": lm_head, "total": lm_head}

    def estimate_flops(self):
        """FLOPs a token: two a weight forward, four backward."""
        return 6 * self.num_scaling_params()["total"]

    def lr_scale(self, model_dim=768):
        dmodel_lr_scale = (model_dim / 768) ** -0.5
        return dmodel_lr_scale

    def forward(self, token):
        logits = self.lm_head[token]
        capped = [self.softcap * math.tanh(z / self.softcap) for z in logits]
        slopes = [1.0 - (z / self.softcap) ** 2 for z in capped]
        return capped, slopes

    def probabilities(self, logits):
        weights = [math.exp(z) for z in logits]
        total = sum(weights)
        return [w / total for w in weights]
