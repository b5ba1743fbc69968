"""Sixteen tokens and how many bytes each stands for. Protected: bits per byte depend on it."""

VOCAB_SIZE = 16
TOKEN_BYTES = [1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 6, 7]
