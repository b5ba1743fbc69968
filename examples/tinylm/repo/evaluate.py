"""The lab's own measurement of a model: numbers are read, and no code of the candidate is run. Protected.

A run leaves its weights in $ORG_OUT/model.json. They are a model of the family that train.py describes, of any context and
width; bits per byte are counted on holdout.txt where that lies here, else on the held-out part of text.txt. Probabilities are
made here, from the weights, so that they sum to one whatever the weights are.
"""

import json
import math
import os
import sys

sys.dont_write_bytecode = True

import evalset

MOST = 1 << 24          # bytes of a model; a real one has a thousandth of it


def refuse(why):
    print(f"refused: {why}")
    sys.exit(1)


def vector(value, length, name):
    good = isinstance(value, list) and len(value) == length
    if not good or not all(type(it) in (int, float) and math.isfinite(it) for it in value):
        refuse(f"{name} is no list of {length} numbers")
    return value


def matrix(value, rows, columns, name):
    if not isinstance(value, list) or len(value) != rows:
        refuse(f"{name} has not {rows} rows")
    return [vector(row, columns, name) for row in value]


def main():
    path = os.path.join(os.environ["ORG_OUT"], "model.json")
    if not os.path.isfile(path) or os.path.getsize(path) > MOST:
        refuse("the run left no model, or too large a one")
    with open(path, encoding="ascii") as file:
        model = json.load(file)
    vocab = len(evalset.ALPHABET)
    if not isinstance(model, dict) or not isinstance(model.get("bias"), list) or not isinstance(model.get("table"), list):
        refuse("that is no model")
    hidden, context = len(model["bias"]), len(model["table"])
    table = [matrix(it, vocab, hidden, "table") for it in model["table"]]
    bias = vector(model["bias"], hidden, "bias")
    out = matrix(model.get("out"), vocab, hidden, "out")
    out_bias = vector(model.get("out_bias"), vocab, "out_bias")

    def log_prob(ids, following):
        rows = [table[k][ids[k]] for k in range(context)]
        state = [math.tanh(sum(column)) for column in zip(bias, *rows)]
        logits = [c + sum(map(float.__mul__, map(float, row), state)) for c, row in zip(out_bias, out)]
        top = max(logits)
        return logits[following] - top - math.log(sum(math.exp(z - top) for z in logits))

    print(f"params: {context * vocab * hidden + hidden + vocab * hidden + vocab}")
    print(f"val_bpb: {evalset.val_bpb(log_prob, context, evalset.hidden()):.6f}")


main()
