"""A stand-in for nanochat's base_train: its files, its printed lines, a tenth of a second and no GPU.

It really trains: the loss depends on gpt.py, optim.py and the seed. What it says about devices it only imitates.
"""

import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from nanochat.dataloader import SEED, TOKENS_PER_SHARD, training_batches
from nanochat.gpt import GPT, GPTConfig
from nanochat.loss_eval import evaluate_bpb
from nanochat.optim import Optimizer, learning_rate
from nanochat.tokenizer import VOCAB_SIZE

NUM_ITERATIONS = 60

print("Using Flash Attention 3 (stand-in: nothing is attended to)")
print(f"Vocab size: {VOCAB_SIZE:,}")

model = GPT(GPTConfig(vocab_size=VOCAB_SIZE))
model.init_weights(random.Random("init " + SEED))

print("Parameter counts:")
for key, value in model.num_scaling_params().items():
    print(f"{key:24s}: {value:,}")
total_tokens = NUM_ITERATIONS * TOKENS_PER_SHARD
print(f"Estimated FLOPs per token: {model.estimate_flops():e}")
print(f"Total number of training tokens: {total_tokens:,}")
print(f"Total training FLOPs estimate: {model.estimate_flops() * total_tokens:e}", flush=True)

optimizer = Optimizer(model.lm_head)
for step, pairs in enumerate(training_batches(NUM_ITERATIONS)):
    gradients = []
    for token, row in enumerate(pairs):
        logits, slopes = model.forward(token)
        p = model.probabilities(logits)
        seen = sum(row)
        gradients.append([(seen * q - n) * s / TOKENS_PER_SHARD for n, q, s in zip(row, p, slopes)])
    optimizer.step(gradients, model.lr_scale() * learning_rate(step, NUM_ITERATIONS))
    if (step + 1) % 10 == 0:
        print(f"step {step + 1:05d}/{NUM_ITERATIONS:05d}", flush=True)

print(f"Minimum validation bpb: {evaluate_bpb(model):.6f}")
