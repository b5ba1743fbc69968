"""Measures the task's noise, and what each variant gains, on this machine.

    python3 examples/codespeed/measure.py [RUNS]        half a second of CPU a run; default 16 runs

Each file of variants/ is put in the place of repo/solution.py, as an agent would, and judged by repo/bench.py.
"""

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def run(variant, seed):
    """One run, in a copy of its own: the ratio or why there is none, and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(os.path.join(HERE, "repo"), os.path.join(scratch, "repo"))
        if variant:
            shutil.copy(os.path.join(HERE, "variants", variant + ".py"), os.path.join(copy, "solution.py"))
        done = subprocess.run([sys.executable, "bench.py"], cwd=copy, capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], "ORG_SEED": str(seed)})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    value = re.search(r"cost_ratio: ([0-9.]+)", done.stdout)
    if done.returncode or not value:
        why = re.search(r"refused: (.*)", done.stdout)
        return (why[1] if why else f"exit status {done.returncode}"), cpu
    return float(value[1]), cpu


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    names = sorted(os.path.splitext(name)[0] for name in os.listdir(os.path.join(HERE, "variants")))
    print("| variant | n | cost_ratio mean | sd | cv | effect | in baseline sd | CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    base = None
    for name in [None, None, *names]:
        runs = [run(name, seed) for seed in range(1, count + 1)]
        label = f"`{name}`" if name else "baseline" if base is None else "baseline, again"
        cpu = statistics.mean(r[1] for r in runs)
        refused = [r[0] for r in runs if isinstance(r[0], str)]
        if refused:
            why = refused[0] if len(refused[0]) < 60 else refused[0][:57] + "..."
            print(f"| {label} | {count} | refused {len(refused)} times: {why} | | | | | {cpu:.2f} |", flush=True)
            continue
        values = [r[0] for r in runs]
        mean, sd = statistics.mean(values), statistics.stdev(values)
        base = base or (mean, sd)
        effect = mean - base[0]
        print(f"| {label} | {count} | {mean:.4f} | {sd:.4f} | {sd / mean:.3f} | {effect:+.4f} "
              f"| {effect / base[1]:+.1f} | {cpu:.2f} |", flush=True)


if __name__ == "__main__":
    main()
