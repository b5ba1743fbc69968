"""The edit distance of two texts. Two rows of the table are enough."""


def distance(a, b):
    """Fewest insertions, deletions and substitutions of a character that make `b` of `a` (Levenshtein 1966)."""
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        left = i
        row = [i]
        diagonal = i - 1
        for up, y in zip(above[1:], b):
            if x == y:
                best = diagonal
            else:
                best = diagonal if diagonal < up else up
                if left < best:
                    best = left
                best += 1
            diagonal = up
            row.append(best)
            left = best
        above = row
    return above[-1]
