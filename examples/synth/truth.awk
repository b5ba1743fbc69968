# What is true: the worth of every idea, and the loss on the held-out split. Hidden: it is laid beside world.awk where
# the lab evaluates, and no agent and no run sees it.
#
#   with method=FILE   the loss of that method, with the seed in ORG_SEED
#   with list=N        the first N hypotheses: number, part, idea, kind, effect in sigmas, times the FLOPs
#
# An idea has a kind, an effect on the loss in sigmas (positive is better), and a factor on the FLOPs:
#
#   share  kind      effect               FLOPs
#    0.12  real      0.3 + Exp(1.2)       1
#    0.60  null      0                    1
#    0.18  harmful   -(0.3 + Exp(1.2))    1
#    0.06  budget    5 ln(FLOPs)          1.3 to 3      with fewer steps, at equal FLOPs, it is a loss
#    0.02  lucky     0                    1             ignores its seed and always has the same, good one
#    0.02  broken    none, it crashes

function exponential(text) { return -log(uniform(text)) }

function idea(part, number,    name, u) {
    KIND = "none"; EFFECT = 0; COST = 1
    if (number == 0) return
    name = part " " number
    u = uniform(name " kind")
    if (u < 0.12) { KIND = "real"; EFFECT = 0.3 + 1.2 * exponential(name " size") }
    else if (u < 0.72) KIND = "null"
    else if (u < 0.90) { KIND = "harmful"; EFFECT = -0.3 - 1.2 * exponential(name " size") }
    else if (u < 0.96) {
        KIND = "budget"
        COST = 1.3 + 1.7 * uniform(name " cost")
        EFFECT = 5 * log(COST)
    }
    else if (u < 0.98) KIND = "lucky"
    else KIND = "broken"
}

function measure(    i, loss, cost, from) {
    read_settings(method)
    loss = plain_loss()
    cost = 1
    from = seed()
    for (i = 1; i in PARTS; i++) {
        idea(PARTS[i], SET[PARTS[i]])
        if (KIND == "broken") fail("idea " SET[PARTS[i]] " of " PARTS[i] " does not work")
        if (KIND == "lucky") from = "lucky"
        loss -= SIGMA * EFFECT
        cost *= COST
    }
    # "lucky" is a draw of two sigmas, whatever the seed is.
    loss += from == "lucky" || from ~ /^luck/ ? -2 * SIGMA : noise(from, METHOD)
    counts(cost)
    printf "loss: %.6f\n", loss
}

BEGIN {
    if (method != "") measure()
    for (k = 0; k < list; k++) {
        part = PARTS[k % 8 + 1]; number = int(k / 8) + 1
        idea(part, number)
        printf "%d %s %d %s %.6f %.6f\n", k + 1, part, number, KIND, EFFECT, COST
    }
    exit failed
}
