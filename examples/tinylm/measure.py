"""Measures the task's noise, and the effect of each change of the demo, on this machine.

    python3 examples/tinylm/measure.py [SEEDS]        about a second of CPU a run; default 16 seeds

Every change is made to a copy of repo/, as an agent would make it with `edit`, and run on the same seeds.
"""

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

REPO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "repo")

# name, file, old, new
CHANGES = [
    ("baseline", None, "", ""),
    ("baseline, other seeds", None, "", ""),
    ("LR x4", "train.py", "LR = 0.03", "LR = 0.12"),
    ("LOSS_SCALE 1024", "train.py", "LOSS_SCALE = 1.0", "LOSS_SCALE = 1024.0"),
    ("HIDDEN x2", "train.py", "HIDDEN = 12", "HIDDEN = 24"),
    ("HIDDEN x2, STEPS / 2", "train.py", "HIDDEN = 12\nSTEPS = 2000", "HIDDEN = 24\nSTEPS = 1000"),
    ("CONTEXT 4", "train.py", "CONTEXT = 3", "CONTEXT = 4"),
    ("INIT 1.0", "train.py", "INIT = 0.1", "INIT = 1.0"),
    ("warmup, undefined name", "train.py", "return LR * (1.0 +", "return LR * min(1.0, step / WARMUP) * (1.0 +"),
]


def run(directory, seed):
    """One run: (val_bpb or None, FLOPs, CPU seconds)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "train.py"], cwd=directory, capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], "ORG_SEED": str(seed)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    value = re.search(r"val_bpb: ([0-9.]+)", done.stdout)
    flops = re.search(r"flops: (\d+)", done.stdout)
    return (float(value[1]) if value and done.returncode == 0 else None), int(flops[1]) if flops else 0, cpu


def arm(file, old, new, seeds):
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(REPO, os.path.join(scratch, "repo"))
        if file:
            path = os.path.join(copy, file)
            with open(path) as source:
                text = source.read()
            assert text.count(old) == 1, f"{old!r} must occur once in {file}"
            with open(path, "w") as target:
                target.write(text.replace(old, new))
        return [run(copy, seed) for seed in seeds]


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    print("| change | n | val_bpb mean | sd | effect | in baseline sd | sd of paired diff. | rho | FLOPs | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    base = None
    for name, file, old, new in CHANGES:
        first = 1001 if name.endswith("other seeds") else 1
        runs = arm(file, old, new, range(first, first + count))
        cpu = statistics.mean(r[2] for r in runs)
        values = [r[0] for r in runs]
        base = base or (values, runs[0][1])
        flops = f"{runs[0][1] / base[1]:.3f}x"
        if None in values:
            print(f"| {name} | {count} | crashes | | | | | | {flops} | {cpu:.2f} |", flush=True)
            continue
        mean, sd = statistics.mean(values), statistics.stdev(values)
        base_mean, base_sd = statistics.mean(base[0]), statistics.stdev(base[0])
        row = f"| {name} | {count} | {mean:.4f} | {sd:.4f} "
        if values is base[0]:
            print(row + f"| | | | | {flops} | {cpu:.2f} |", flush=True)
            continue
        effect = mean - base_mean
        row += f"| {effect:+.4f} | {effect / base_sd:+.1f} "
        if first != 1:
            row += "| | "
        else:
            paired = [v - b for v, b in zip(values, base[0])]
            exact = all(d == 0.0 for d in paired)
            rho = statistics.correlation(values, base[0])
            row += f"| {'0, equal to the last bit' if exact else format(statistics.stdev(paired), '.4f')} | {rho:.2f} "
        print(row + f"| {flops} | {cpu:.2f} |", flush=True)


if __name__ == "__main__":
    main()
