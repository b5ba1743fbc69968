#!/usr/bin/env python3
"""Makes the README's recording: a real run of the demo on a real terminal, drawn as a picture that moves.

    make recording

Three parts play together. The *hand* types commands at a prompt, inside asciinema, and runs what it types. The
*director* sits outside and does what a person in the office would do: it zooms into a pane, types into it and goes
to hq, each when the log says that there is something to see. Then termtosvg draws what asciinema has written down,
in the frame docs/terminal.svg. Both tools come from PyPI, into target/record.

Nothing is invented or rearranged; only waits are cut short, and frames that nobody could see are left out.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "record"
TOOLS = ["asciinema==2.4.0", "termtosvg==1.1.0", "setuptools<81"]
COLUMNS, ROWS = 150, 42
LONGEST_WAIT_S = 1.2      # longer waits are cut to this
FRAME_MS = 280            # shorter frames are left out
LAST_FRAME_MS = 5000
PATIENCE_S = 120          # the demo takes about ten seconds; a loaded machine some more


def tools():
    """asciinema and termtosvg, installed once into target/record."""
    place = HERE / "tools"
    if not (place / "termtosvg").is_dir():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--target", place, *TOOLS], check=True)
    return {**os.environ, "PYTHONPATH": str(place), "TERM": "screen-256color"}


def hand():
    """Types commands and runs them, until the show is over."""
    def run(line, then):
        sys.stdout.write("\x1b[1;32m$\x1b[m ")
        for char in line:
            sys.stdout.write(char)
            sys.stdout.flush()
            time.sleep(0.05)
        print(flush=True)
        subprocess.run(line, shell=True, cwd=ROOT, check=False)
        time.sleep(then)
    run("org up orgs/demo.toml --mock", 0.3)
    run("org ledger", 3)
    run("org down", 0.5)


def until(what, look):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"error: never came: {what}\n\nhint: look into {HERE}")


class Director:
    """What a person in the office would do."""

    def __init__(self, env):
        self.env = env

    def org(self, *words):
        return subprocess.run(["org", *words], env=self.env, cwd=ROOT, capture_output=True, text=True, check=False)

    def status(self):
        said = self.org("status", "--json").stdout
        return json.loads(said) if said.startswith("{") else None

    def office(self):
        status = self.status()
        return status if status and status["tmux"] else None

    def tmux(self, *words):
        return subprocess.run(["tmux", "-u", "-S", self.socket, *words], capture_output=True, text=True, check=False)

    def type(self, pane, text):
        for char in text:
            self.tmux("send-keys", "-t", pane, "-l", char)
            time.sleep(0.06)
        time.sleep(0.4)
        self.tmux("send-keys", "-t", pane, "Enter")

    def play(self):
        status = until("the office", self.office)
        self.socket = status["tmux"]["socket"]
        panes = {agent["name"]: agent["pane"] for agent in status["agents"]}
        until("somebody who looks", lambda: self.tmux("list-clients").stdout)
        promoted = lambda: [h for h in json.loads(self.org("ledger", "--json").stdout) if h["status"] == "promoted"]
        won = until("a promotion", promoted)[0]
        time.sleep(2)
        pane = panes[won["agent"]]
        self.tmux("select-pane", "-t", pane)
        time.sleep(0.5)
        self.tmux("resize-pane", "-Z", "-t", pane)
        time.sleep(1.5)
        self.type(pane, "/hypothesis")
        time.sleep(2)
        self.type(pane, "Well done. Keep the refusals in the report.")
        time.sleep(2)
        self.tmux("resize-pane", "-Z", "-t", pane)
        time.sleep(1)
        self.tmux("select-window", "-t", ":=hq")
        until("the end", lambda: self.status()["state"] == "done")
        time.sleep(3)
        self.tmux("detach-client", "-s", status["tmux"]["session"])


def show(cast):
    """Records hand and director."""
    with tempfile.TemporaryDirectory(prefix="org-record-") as world:
        env = tools()
        bin_ = Path(world, "bin")
        bin_.mkdir()
        (bin_ / "org").symlink_to(Path(os.environ.get("ORG", ROOT / "target/release/org")).resolve())
        for name in ("runs", "state", "home"):
            Path(world, name).mkdir()
        env.update(ORG_RUNS=f"{world}/runs", XDG_STATE_HOME=f"{world}/state", HOME=f"{world}/home",
                   PATH=f"{bin_}:{env['PATH']}", LANG="C.UTF-8")
        env.pop("TMUX", None)
        recording = subprocess.Popen(
            [sys.executable, "-m", "asciinema", "rec", "--quiet", "--overwrite", "--cols", str(COLUMNS),
             "--rows", str(ROWS), "--command", f"{sys.executable} {__file__} hand", str(cast)],
            env=env, cwd=ROOT, stdin=subprocess.DEVNULL)
        director = Director(env)
        try:
            director.play()
            recording.wait(PATIENCE_S)
        finally:
            director.org("down")
            if recording.poll() is None:
                recording.terminate()


class Simpler:
    """The recording in what termtosvg knows: no dim text, which is grey then, and no scrolling by several lines."""

    def __init__(self):
        self.bottom = ROWS

    def scrolled(self, found):
        top, bottom, by = found.groups()
        if by is None:
            self.bottom = int(bottom or ROWS)
            return found[0]
        return f"\x1b7\x1b[{self.bottom};1H" + "\n" * int(by or 1) + "\x1b8"

    def text(self, text):
        text = re.sub(r"\x1b\[2m", "\x1b[38;5;245m", text)
        return re.sub(r"\x1b\[(?:(\d*);?(\d*)r|(\d*)S)", self.scrolled, text)


def cut(cast, to):
    """Waits cut short."""
    head, *events = cast.read_text().splitlines()
    at, clock, simpler = 0.0, 0.0, Simpler()
    with to.open("w") as out:
        print(head, file=out)
        for event in events:
            when, kind, text = json.loads(event)
            clock += min(when - at, LONGEST_WAIT_S)
            at = when
            print(json.dumps([round(clock, 3), kind, simpler.text(text)]), file=out)


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    cast, shorter = HERE / "office.cast", HERE / "shorter.cast"
    show(cast)
    cut(cast, shorter)
    picture = ROOT / "docs/office.svg"
    subprocess.run(
        [sys.executable, "-m", "termtosvg", "render", str(shorter), str(picture), "-m", str(FRAME_MS),
         "-D", str(LAST_FRAME_MS), "-t", str(ROOT / "docs/terminal.svg")], env=tools(), check=True)
    print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    hand() if sys.argv[1:] == ["hand"] else main()
