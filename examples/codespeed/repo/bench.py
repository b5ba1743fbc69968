"""Times solution.py against reference.py, and says whether it is right. Protected.

    python3 bench.py            correctness, and the ratio of CPU times: what the lab measures
    python3 bench.py --check    correctness only

The code that is judged never runs in this process. It runs in workers, one after the other, that know neither the seed
nor the answers, and what they may say is one line of numbers. Their time is the kernel's account of them (their CPU clock,
threads included), read from here; whatever else they start is found, ended, and refused. All sources are read before the
first of them starts. Half of the blocks begin with the solution and half with the reference (ABBA), each pair of blocks on
inputs that never come again; a loaded machine slows both alike.
"""

import ctypes
import json
import math
import os
import random
import select
import signal
import sys
import time

sys.dont_write_bytecode = True

import cases

BLOCKS = 2                  # pairs of blocks
PAIRS = 160                 # inputs a block: a tenth of a second for the reference
PATIENCE_S = 20.0           # a worker that takes longer is refused
IMPORT_S = 1.0              # CPU seconds that a solution may take before its first input
ELSEWHERE_S = 0.05          # CPU seconds that its exit may take; more were computed where no clock was read

WORKER = """
import json, os, sys
reads, writes = int(sys.argv[2]), int(sys.argv[3])
code = compile(sys.argv[1], "solution.py", "exec")
space = {"__name__": "solution"}
exec(code, space)
with os.fdopen(reads, "r", encoding="ascii") as lines, os.fdopen(writes, "w", encoding="ascii") as out:
    print("ready", file=out, flush=True)
    for line in lines:
        distance = space["distance"]
        print(json.dumps([distance(a, b) for a, b in json.loads(line)]), file=out, flush=True)
"""

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 4, 24, 36
CAPABILITIES = 64
LIBC = ctypes.CDLL(None)


def refuse(why):
    print(f"refused: {why}", flush=True)
    sys.exit(1)


def descendants():
    """Processes that stem from this one. Orphans come to it, since it is their reaper."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                pass
    found, front = [], [os.getpid()]
    while front:
        front = [pid for pid, parent in parents.items() if parent in front and pid not in found]
        found += front
    return found


class Worker:
    """A process with one source in it."""

    def __init__(self, source):
        to_read, self.to = os.pipe()
        self.of, to_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                null = os.open(os.devnull, os.O_RDWR)
                for fd in (0, 1, 2):
                    os.dup2(null, fd)
                for fd in (to_read, to_write):
                    os.set_inheritable(fd, True)
                os.setsid()
                for capability in range(CAPABILITIES):      # as root, a worker could look into any process
                    LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
                argv = [sys.executable, "-I", "-S", "-B", "-c", WORKER, source, str(to_read), str(to_write)]
                os.execve(sys.executable, argv, {})
            finally:
                os._exit(127)
        os.close(to_read)
        os.close(to_write)
        self.clock = (~self.pid << 3) | 2        # the id of another process's CPU clock, clock_getcpuclockid(3)
        self.held = b""
        if self.line() != b"ready":
            refuse("it said something before it was asked")
        if self.cpu() > IMPORT_S:
            refuse(f"it took {self.cpu():.1f} s before its first input")

    def cpu(self):
        try:
            return time.clock_gettime(self.clock)
        except OSError:
            refuse("its process ended")

    def line(self):
        """One line from the worker."""
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self.held:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.of], [], [], left)[0]:
                refuse(f"no answer within {PATIENCE_S:.0f} s")
            more = os.read(self.of, 1 << 16)
            if not more or len(self.held) > 1 << 20:
                refuse("its process ended, or it said too much")
            self.held += more
        line, _, self.held = self.held.partition(b"\n")
        return line

    def ask(self, pairs):
        """Distances of pairs, in order."""
        view = json.dumps(pairs).encode() + b"\n"
        while view:
            view = view[os.write(self.to, view):]
        try:
            answers = json.loads(self.line())
        except ValueError:
            refuse("its answer is no list of numbers")
        good = isinstance(answers, list) and len(answers) == len(pairs) and all(type(it) is int for it in answers)
        if not good or self.held:
            refuse("its answer is not one number for each input")
        return answers

    def end(self):
        """Ends it and all that it started; gives the CPU seconds that it took for its inputs."""
        took = self.cpu()
        others = [pid for pid in descendants() if pid != self.pid]
        for pid in [self.pid, *others]:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        os.close(self.to)
        os.close(self.of)
        all_in_all = 0.0
        try:
            while True:
                _, _, used = os.wait4(-1, 0)
                all_in_all += used.ru_utime + used.ru_stime
        except ChildProcessError:
            pass
        if others:
            refuse(f"it started {len(others)} other processes")
        if all_in_all > took + ELSEWHERE_S:
            refuse(f"{all_in_all - took:.2f} s of CPU were spent in other processes")
        return took


def check(pairs, answers, right):
    for (a, b), said, is_so in zip(pairs, answers, right):
        if said != is_so:
            refuse(f"distance({a!r}, {b!r}) is {is_so}, and it says {said}")


def block(source, awkward, pairs):
    """A worker's answers to both lists, and the CPU seconds that the second one took."""
    worker = Worker(source)
    first = worker.ask(awkward) if awkward else []
    begun = worker.cpu()
    second = worker.ask(pairs) if pairs else []
    return first, second, worker.end() - begun


def main():
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Nobody of the same user may look into this process, its memory and its files.
    LIBC.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    here = os.path.dirname(os.path.abspath(__file__))
    sources = []
    for name in ("solution.py", "reference.py"):
        with open(os.path.join(here, name), encoding="utf-8") as file:
            sources.append(file.read())
    # The seed, and something that nobody can know beforehand.
    rng = random.Random(os.environ.get("ORG_SEED", "0") + os.urandom(16).hex())

    awkward = cases.awkward(rng)
    blocks = 0 if "--check" in sys.argv[1:] else BLOCKS
    logs, spent = [], [0.0, 0.0]
    for at in range(max(blocks, 1)):
        pairs = cases.timed(rng, PAIRS) if blocks else []
        took, said = [0.0, 0.0], [None, None]
        for arm in (at % 2, 1 - at % 2):
            *said[arm], took[arm] = block(sources[arm], awkward, pairs)
        check(awkward + pairs, said[0][0] + said[0][1], said[1][0] + said[1][1])
        if at == 0:
            print(f"right: {len(awkward)} awkward inputs", flush=True)
            awkward = []
        logs.append(math.log(max(took[0], 1e-6) / max(took[1], 1e-6)))
        spent = [spent[0] + took[0], spent[1] + took[1]]
    if blocks:
        print(f"cpu_s: solution {spent[0]:.4f}, reference {spent[1]:.4f}")
        print(f"cost_ratio: {math.exp(sum(logs) / blocks):.5f}")


if __name__ == "__main__":
    main()
