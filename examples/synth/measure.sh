#!/bin/sh
# Measures the task's noise, and the effect of some changes, on this machine; and counts what is true of the ideas.
#
#     sh examples/synth/measure.sh [SEEDS]        two programs a run, a few milliseconds; default 200 seeds
#
# Every change is made to a copy of repo/, as an agent would make it with `edit`, and run on the same seeds.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
seeds=${1:-200}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# One arm: change, then a loss and FLOPs a line, for seeds from $2.
arm() {
    rm -rf "$scratch/repo" && mkdir "$scratch/repo" && cp "$here"/repo/* "$here/truth.awk" "$scratch/repo"
    sed -i "s/^${1%%=*}= .*/$1/" "$scratch/repo/settings.txt"
    (cd "$scratch/repo" && for seed in $(seq "$2" $(($2 + seeds - 1))); do
        ORG_SEED=$seed ORG_OUT=. sh train.sh | awk '/^visible/ {print $2}' | tr '\n' ' '
        ORG_SEED=$seed ORG_OUT=. sh evaluate.sh | awk '{print $2}' | tr '\n' ' '
        echo
    done)
}

row() {
    paste -d ' ' "$scratch/base" "$scratch/arm" | awk -v name="$1" -v paired="$2" '
        function sd(sum, squares,    v) { v = n > 1 ? (squares - sum * sum / n) / (n - 1) : 0; return v > 1e-12 ? sqrt(v) : 0 }
        NF == 6 { n++; flops += $5; base_flops += $2
            b += $3; bb += $3 * $3; c += $6; cc += $6 * $6; bc += $3 * $6; d += $3 - $6; dd += ($3 - $6) * ($3 - $6)
            visible += $1 - $4 }
        END {
            if (!n) { printf "| %s | crashes | | | | | | |\n", name; exit }
            s = sd(b, bb)
            both = s * sd(c, cc)
            rho = paired && both > 0 ? sprintf("%.2f", (bc - b * c / n) / (n - 1) / both) : ""
            spread = paired ? sprintf("%.4f", sd(d, dd)) : ""
            printf "| %s | %d | %.4f | %.4f | %+.2f | %+.2f | %s | %s | %.2fx |\n", \
                name, n, c / n, sd(c, cc), d / n / s, visible / n / s, spread, rho, flops / base_flops }'
}

arm "lr = 0.01" 1 > "$scratch/base"
echo "| change | n | loss mean | sd | gain, in sd | visible gain | sd of paired diff. | rho | FLOPs |"
echo "|---|---|---|---|---|---|---|---|---|"
cp "$scratch/base" "$scratch/arm" && row "baseline" ""
arm "lr = 0.01" 10001 > "$scratch/arm" && row "baseline, other seeds" ""
for change in "lr = 0.04" "warmup = 10" "clip = 0.5" "dropout = 0.1" "width = 128" "steps = 200" "memorise = 1" "luck = 7" \
    "mlp = 20" "embedding = 1" "mlp = 2" "mlp = 3" "norm = 2" "schedule = 10"; do
    arm "$change" 1 > "$scratch/arm" 2> /dev/null
    row "\`$change\`" 1
done
echo
echo "| kind | of 10,000 | effect, in sd: mean | least | most |"
echo "|---|---|---|---|---|"
cd "$here/repo" && awk -f world.awk -f ../truth.awk -v list=10000 | awk '
    { n[$4]++; sum[$4] += $5
      if (n[$4] == 1 || $5 < least[$4]) least[$4] = $5
      if (n[$4] == 1 || $5 > most[$4]) most[$4] = $5 }
    END { for (kind in n) printf "| %s | %d | %+.2f | %+.2f | %+.2f |\n", kind, n[kind], sum[kind] / n[kind], \
          least[kind], most[kind] }' | sort
