"""The inputs: fresh ones for every run, so that nothing can be remembered, and awkward ones, so that nothing may be
assumed. Protected.

Texts at random alone are a poor test: a solution that counts the places at which two texts of equal length differ is
right on most of them, being asked mostly for texts that are close and aligned. Hence `awkward`.
"""

PLAIN = "acgt"
WIDE = "abcdefghijklmnopqrstuvwxyz ÄÖÜßéñ中文字漢😀😁𝄞\u0000\u0301"


def text(rng, alphabet, length):
    return "".join(rng.choices(alphabet, k=length))


def edited(rng, alphabet, source, edits):
    """`source` with some insertions, deletions and substitutions."""
    chars = list(source)
    for _ in range(edits):
        at = rng.randrange(len(chars) + 1)
        kind = rng.randrange(3)
        if kind == 0:
            chars.insert(at, rng.choice(alphabet))
        elif chars and kind == 1:
            del chars[min(at, len(chars) - 1)]
        elif chars:
            chars[min(at, len(chars) - 1)] = rng.choice(alphabet)
    return "".join(chars)


def timed(rng, count):
    """Pairs to be timed: all of about one size, some close and some not."""
    pairs = []
    for index in range(count):
        alphabet = (PLAIN, WIDE)[index % 2]
        a = text(rng, alphabet, rng.randrange(36, 46))
        if index % 3:
            b = edited(rng, alphabet, a, rng.randrange(1, 20))
        else:
            b = text(rng, alphabet, rng.randrange(36, 46))
        pairs.append((a, b))
    return pairs


def awkward(rng):
    """Pairs at the edges: empty, equal, shifted, reversed, of one character, much longer, wider than a machine word."""
    pairs = [("", ""), ("", text(rng, WIDE, 9)), (text(rng, WIDE, 7), "")]
    for alphabet in (PLAIN, WIDE, "a", "ab"):
        for length in (1, 2, 3, 8, 31, 32, 33, 63, 64, 65, 130):
            a = text(rng, alphabet, length)
            shift = rng.randrange(1, 4)
            pairs += [
                (a, a),
                (a, a[::-1]),
                (a, a[shift:] + text(rng, alphabet, shift)),          # of equal length, and shifted
                (a, text(rng, alphabet, shift) + a),
                (a[:-1], a),
                (a, edited(rng, alphabet, a, 3)),
                (a, text(rng, WIDE, length // 3)),
            ]
    rng.shuffle(pairs)
    return pairs
