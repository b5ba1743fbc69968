# The world of this task: chance, settings, and what the plain ones do. Protected. Needs nothing but POSIX awk.
#
# Everything random is a function of a text: uniform("seed 7") is the same number everywhere and always.

BEGIN {
    M = 2147483647                       # a prime; products of a 31-bit and a 16-bit number are exact in a double
    SIGMA = 0.02                         # spread of the loss from seed to seed
    SHARED = 0.75                        # part of that variance which a seed gives to every method alike
    for (i = 32; i < 127; i++) ORD[sprintf("%c", i)] = i
    split("optimiser schedule init attention mlp norm data embedding", PARTS, " ")
    NAMES = split("optimiser schedule init attention mlp norm data embedding lr warmup clip dropout width steps " \
                  "memorise luck wait", NAME, " ")
    for (i = 1; i <= NAMES; i++) KNOWN[NAME[i]] = 1
}

function times(a, b,    high) {
    high = int(a / 65536)
    return ((high * b) % M * 65536 + (a - high * 65536) * b) % M
}

# A number of 31 bits; x -> x^5 is one to one modulo M and far from linear.
function hash(text,    h, i, square) {
    h = 7
    for (i = 1; i <= length(text); i++) h = (h * 131 + ORD[substr(text, i, 1)]) % M
    for (i = 0; i < 4; i++) {
        square = times(h, h)
        h = (times(times(square, square), h) + 1013904223) % M
    }
    return h
}

function uniform(text) { return (hash(text) + 0.5) / M }

# Box and Muller 1958.
function normal(text) { return sqrt(-2 * log(uniform(text " r"))) * cos(6.283185307179586 * uniform(text " a")) }

function square_of_log(ratio) { return log(ratio) * log(ratio) }

# Reads settings: name = value, one a line. They are data, and nothing in them is run.
function read_settings(file,    line, name, value, i) {
    while ((getline line < file) > 0) {
        if (line ~ /^[ \t]*(#.*)?$/) continue
        if (line !~ /^[a-z]+ *= *[0-9]+(\.[0-9]+)?[ \t]*$/) fail("not a setting: " line)
        name = line; sub(/ *=.*/, "", name)
        value = line; sub(/.*= */, "", value)
        if (!(name in KNOWN)) fail("there is no setting " name)
        SET[name] = value + 0
    }
    close(file)
    for (i = 1; i in PARTS; i++) {
        value = SET[PARTS[i]]
        if (value != int(value) || value > 9999) fail(PARTS[i] ": ideas have numbers up to 9999")
    }
    if (SET["lr"] <= 0 || SET["width"] < 1 || SET["steps"] < 1) fail("lr, width and steps must be positive")
    for (i = 1; i <= NAMES; i++) METHOD = METHOD NAME[i] " = " SET[NAME[i]] + 0 "\n"
}

function fail(why) { print "error: " why > "/dev/stderr"; failed = 1; exit 1 }

# The loss without ideas and without noise.
function plain_loss() {
    return 4 \
        + 0.0416 * (square_of_log(SET["lr"] / 0.04) - square_of_log(0.25)) \
        + 0.016 * ((SET["warmup"] - 10) * (SET["warmup"] - 10) / 100 - 1) \
        + 1.0 * SET["dropout"] \
        - 0.12 * log(SET["width"] / 64) - 0.2 * log(SET["steps"] / 100)
}

# What a seed does to a method: something to all alike, and something to each its own.
function noise(seed, method) {
    return SIGMA * (sqrt(SHARED) * normal("seed " seed) + sqrt(1 - SHARED) * normal("seed " seed " of " method))
}

function seed() { return SET["luck"] ? "luck" SET["luck"] : ENVIRON["ORG_SEED"] "" }

# Prints what a method costs; `factor` is that of its ideas.
function counts(factor) {
    printf "flops: %.0f\n", 6000 * SET["width"] * SET["steps"] * factor
    printf "params: %.0f\ntokens: %.0f\n", SET["width"] * 1000, SET["steps"] * 32
}
