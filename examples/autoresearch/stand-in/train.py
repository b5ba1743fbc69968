"""
Autoresearch pretraining script. Single device, single file.
Usage: python3 train.py

A stand-in: the clock that the budget is measured by goes by what a step computes, so that a run takes a moment, and the
same seed gives the same bits on any machine.
"""

import math
import time

import torch

from prepare import MAX_SEQ_LEN, TIME_BUDGET, VOCAB_SIZE, evaluate_bpb, make_dataloader

# ---------------------------------------------------------------------------
# Hyperparameters (edit these directly, no CLI flags needed)
# ---------------------------------------------------------------------------

DEPTH = 2                # factors of the table of logits; each costs time
BATCH_ROWS = 2           # rows a step
MATRIX_LR = 0.05         # learning rate
WARMDOWN_RATIO = 0.5     # share of the budget over which it goes down to zero
INIT_SCALE = 0.1

# ---------------------------------------------------------------------------
# Model
# ---------------------------------------------------------------------------


class Model:
    """Next-token logits as a sum of DEPTH tables, each scaled."""

    def __init__(self):
        self.tables = [
            [[INIT_SCALE * torch.randn() for _ in range(VOCAB_SIZE)] for _ in range(VOCAB_SIZE)] for _ in range(DEPTH)
        ]

    def num_params(self):
        return DEPTH * VOCAB_SIZE * VOCAB_SIZE

    def probabilities(self, token):
        logits = [sum(table[token][j] for table in self.tables) for j in range(VOCAB_SIZE)]
        top = max(logits)
        weights = [math.exp(z - top) for z in logits]
        total = sum(weights)
        return [w / total for w in weights]

    def learn(self, rows, rate):
        share = rate / len(self.tables)
        for row in rows:
            for before, token in zip(row, row[1:]):
                p = self.probabilities(before)
                p[token] -= 1.0
                for table in self.tables:
                    cells = table[before]
                    for j, gradient in enumerate(p):
                        cells[j] -= share * gradient


# ---------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------

t_start = time.time()
torch.manual_seed(42)
torch.cuda.manual_seed(42)

model = Model()
loader = make_dataloader("train")
# Seconds of the budget that a step takes: so much for its launch, and so much for what it computes.
STEP_SECONDS = 1.0 + 0.5 * DEPTH * BATCH_ROWS
print(f"Time budget: {TIME_BUDGET}s")

step = 0
total_training_time = 0.0
while total_training_time < TIME_BUDGET:
    progress = total_training_time / TIME_BUDGET
    rate = MATRIX_LR * min(1.0, (1.0 - progress) / WARMDOWN_RATIO)
    model.learn([next(loader) for _ in range(BATCH_ROWS)], rate)
    total_training_time += STEP_SECONDS
    step += 1
    if step % 20 == 0:
        print(f"step {step:05d} ({100 * progress:.1f}%) | lrm: {rate / MATRIX_LR:.2f}", flush=True)

val_bpb = evaluate_bpb(model)
total_tokens = step * BATCH_ROWS * MAX_SEQ_LEN

print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"training_seconds: {total_training_time:.1f}")
print(f"total_seconds:    {time.time() - t_start:.1f}")
print(f"peak_vram_mb:     {torch.cuda.max_memory_allocated() / 1024 / 1024:.1f}")
print(f"mfu_percent:      {0.0:.2f}")
print(f"total_tokens_M:   {total_tokens / 1e6:.6f}")
print(f"num_steps:        {step}")
print(f"num_params_M:     {model.num_params() / 1e6:.6f}")
print(f"depth:            {DEPTH}")
