"""The optimiser of the stand-in: gradient descent with momentum and a warmdown to zero."""

MATRIX_LR = 12.0
MOMENTUM = 0.8
WARMDOWN_RATIO = 0.5


def learning_rate(step, num_iterations):
    left = (num_iterations - step) / (WARMDOWN_RATIO * num_iterations)
    return MATRIX_LR * min(1.0, left)


class Optimizer:
    def __init__(self, rows):
        self.rows = rows
        self.speeds = [[0.0] * len(row) for row in rows]

    def step(self, gradients, rate):
        for row, speed, gradient in zip(self.rows, self.speeds, gradients):
            speed[:] = [MOMENTUM * s + g for s, g in zip(speed, gradient)]
            row[:] = [w - rate * (1.0 - MOMENTUM) * s for w, s in zip(row, speed)]
