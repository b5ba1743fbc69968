"""The edit distance of two texts. A column of the table is a number of as many bits (Myers 1999)."""


def distance(a, b):
    """Fewest insertions, deletions and substitutions of a character that make `b` of `a` (Levenshtein 1966)."""
    if not a:
        return len(b)
    where = {}
    for i, x in enumerate(a):
        where[x] = where.get(x, 0) | 1 << i
    full = (1 << len(a)) - 1
    last = 1 << len(a) - 1
    up, down, score = full, 0, len(a)
    for y in b:
        match = where.get(y, 0)
        vertical = match | down
        horizontal = (((match & up) + up) ^ up) | match
        plus = down | ~(horizontal | up) & full
        minus = up & horizontal
        if plus & last:
            score += 1
        elif minus & last:
            score -= 1
        plus = plus << 1 | 1
        minus <<= 1
        up = (minus | ~(vertical | plus)) & full
        down = plus & vertical & full
    return score
