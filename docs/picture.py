#!/usr/bin/env python3
"""Draws a terminal as SVG: `tmux capture-pane -e -p` on standard input, the picture on standard output.

The README's picture of the office is made with it. In a terminal of 160x44, while `make demo` is attached:

    tmux -L person new-session -x 160 -y 44 'target/release/org up orgs/demo.toml --mock'
    tmux -L person capture-pane -e -p | docs/picture.py > docs/office.svg

Text stays text, so that the picture can be searched and read aloud. Box-drawing characters are drawn as lines,
since few fonts make them meet. Nothing is invented: a cell that the capture lacks is empty.
"""
import re
import sys
from html import escape

CELL, LINE, MARGIN = 7.2, 15, 10
INK, PAPER = "#c9d1d9", "#0d1117"
SIXTEEN = ("#484f58 #ff7b72 #3fb950 #d29922 #58a6ff #bc8cff #39c5cf #b1bac4 "
           "#6e7681 #ffa198 #56d364 #e3b341 #79c0ff #d2a8ff #56d4dd #f0f6fc").split()
# Which of its four sides a box-drawing character reaches: left, right, up, down.
SIDES = {"─": "lr", "│": "ud", "┌": "rd", "┐": "ld", "└": "ru", "┘": "lu",
         "├": "rud", "┤": "lud", "┬": "lrd", "┴": "lru", "┼": "lrud"}


def of_256(number):
    """The colour behind an index of the 256-colour palette."""
    if number < 16:
        return SIXTEEN[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    steps = (0, 95, 135, 175, 215, 255)
    number -= 16
    return "#%02x%02x%02x" % (steps[number // 36], steps[number // 6 % 6], steps[number % 6])


def restyled(style, codes):
    """A style after one SGR sequence."""
    style, codes = dict(style), [int(code or 0) for code in re.split("[;:]", codes)]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = {}
        elif code in (1, 2, 3, 4, 7):
            style[{1: "bold", 2: "dim", 3: "italic", 4: "under", 7: "reverse"}[code]] = True
        elif code in (22, 23, 24, 27):
            for name in {22: ("bold", "dim"), 23: ("italic",), 24: ("under",), 27: ("reverse",)}[code]:
                style.pop(name, None)
        elif code in (38, 48):
            kind = codes.pop(0)
            colour = of_256(codes.pop(0)) if kind == 5 else "#%02x%02x%02x" % tuple(codes.pop(0) for _ in "rgb")
            style["fg" if code == 38 else "bg"] = colour
        elif code in (39, 49):
            style.pop("fg" if code == 39 else "bg", None)
        elif code // 10 in (3, 4, 9, 10):
            bright = code // 10 in (9, 10)
            style["fg" if code // 10 in (3, 9) else "bg"] = SIXTEEN[code % 10 + 8 * bright]
    return style


def rows(capture):
    """The rows of the capture, each a list of (character, style). Every character is one cell wide."""
    style = {}
    for line in capture.rstrip("\n").split("\n"):
        row = []
        for part in re.split(r"(\x1b\[[0-9;:]*m)", line):
            found = re.fullmatch(r"\x1b\[([0-9;:]*)m", part)
            if found:
                style = restyled(style, found[1])
            else:
                row += [(char, style) for char in re.sub(r"[\x00-\x1f]", "", part)]
        yield row


def colours(style):
    fg, bg = style.get("fg", INK), style.get("bg")
    return (bg or PAPER, fg) if style.get("reverse") else (fg, bg)


def runs(row):
    """Stretches of one look, as (first column, text, style)."""
    start = 0
    for at in range(1, len(row) + 1):
        if at == len(row) or row[at][1] != row[start][1]:
            yield start, "".join(char for char, _ in row[start:at]), row[start][1]
            start = at


def number(value):
    return f"{value:.1f}".removesuffix(".0")


def drawn(lines):
    width = MARGIN * 2 + max(map(len, lines)) * CELL
    height = MARGIN * 2 + len(lines) * LINE
    boxes, texts, strokes = [], [], {}
    for at, row in enumerate(lines):
        top, spans = MARGIN + at * LINE, []
        for start, text, style in runs(row):
            fg, bg = colours(style)
            left = MARGIN + start * CELL
            if bg:
                boxes.append(f'<rect x="{number(left)}" y="{top}" width="{number(len(text) * CELL)}" '
                             f'height="{LINE}" fill="{bg}"/>')
            for offset, char in enumerate(text):
                x, y = left + offset * CELL, top + LINE / 2
                ends = {"l": (0, y, "h"), "r": (CELL, y, "h"), "u": (0, top, "v"), "d": (0, top + LINE, "v")}
                for side in SIDES.get(char, ""):
                    to = ends[side]
                    line = (f"M{number(x + CELL / 2)} {number(y)}H{number(x + to[0])}" if to[2] == "h"
                            else f"M{number(x + CELL / 2)} {number(y)}V{number(to[1])}")
                    strokes.setdefault(fg, []).append(line)
            plain = "".join(" " if char in SIDES else char for char in text)
            for word in re.finditer(r"\S+(?: \S+)*", plain):
                look = "".join(f" {name}" for name in (
                    f'fill="{fg}"' if fg != INK else "",
                    'font-weight="bold"' if style.get("bold") else "",
                    'opacity=".65"' if style.get("dim") else "") if name)
                x = left + word.start() * CELL
                spans.append(f'<tspan x="{number(x)}" textLength="{number(len(word[0]) * CELL)}"{look}>'
                             f"{escape(word[0], quote=False)}</tspan>")
        if spans:
            texts.append(f'<text y="{top + 11}">{"".join(spans)}</text>')
    paths = [f'<path stroke="{fg}" d="{"".join(lines)}"/>' for fg, lines in strokes.items()]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(width)} {height}" xml:space="preserve" '
        f'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="12" '
        f'fill="{INK}">',
        f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>',
        *boxes, f'<g fill="none">{"".join(paths)}</g>', *texts, "</svg>"])


if __name__ == "__main__":
    print(drawn([row for row in rows(sys.stdin.read())]))
