"""The picture of the states, drawn from `TRANSITIONS`: boxes have a place here, arrows do not."""

from collections import defaultdict
from collections.abc import Iterator
from html import escape
from typing import Final

from drover.states import ENDED, FINAL, PLACED, TRANSITIONS, State

# Where the middle of each box lies, in steps to the right and down: life goes downwards. Only the
# places are chosen by hand; a state without one stops the drawing.
PLACES: Final[dict[State, tuple[float, float]]] = {
    State.NEW: (1.9, 0),
    State.VALIDATING: (0, 0.3),
    State.AWAITING_APPROVAL: (3.9, 0.3),
    State.WAITING: (1.8, 1.2),
    State.STAGING_IN: (0.2, 2),
    State.SUBMITTING: (3, 2.1),
    State.QUEUED: (2, 3.1),
    State.RUNNING: (1.7, 4.4),
    State.SUSPENDED: (0, 4),
    State.SLEEPING: (4, 3.7),
    State.COMPLETING: (3, 5.4),
    State.STAGING_OUT: (0.8, 5.8),
    State.SUCCEEDED: (0, 7),
    State.FAILED: (1.1, 7),
    State.CANCELLED: (2.2, 7),
    State.LOST: (4, 6),
}
WIDTH, HEIGHT = 152, 44
STEP_X, STEP_Y = 205, 118
MARGIN_X, MARGIN_Y = 95, 75
BADGES: Final = {
    State.SUCCEEDED: "S",
    State.FAILED: "F",
    State.CANCELLED: "C",
    State.LOST: "L",
    State.WAITING: "W",
}
COLOURS: Final = {"final": "#d7e8d4", "lost": "#f3d9c9", "placed": "#d5e3f5", "other": "#eeeeee"}
STYLE: Final = """\
text { font: 14px sans-serif; fill: #222; text-anchor: middle; }
.box { stroke: #444; stroke-width: 1.4; }
.move { fill: none; stroke: #667; stroke-width: 1.2; marker-end: url(#tip); }
.back { stroke-dasharray: 5 3; }
.fact { font-size: 12px; fill: #334; paint-order: stroke; stroke: #fff; stroke-width: 4px; }
.end { font-size: 10px; fill: #fff; }
"""

Point = tuple[float, float]


def draw() -> str:
    """Draw the picture as SVG."""
    width = 2 * MARGIN_X + 4 * STEP_X
    height = 2 * MARGIN_Y + 7 * STEP_Y
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img">',
        "<title>The states of a job and the moves between them</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"',
        ' markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#667"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
    ]
    moves = _moves()
    lines += [_arrow(start, end) for start, end in moves]
    lines += [_label(start, end, facts) for (start, end), facts in moves.items()]
    for state in State:
        lines += _box(state)
    return "\n".join([*lines, "</svg>", ""])


def _moves() -> dict[tuple[State, State], list[str]]:
    """List the facts of each arrow; an attempt's end and the next attempt are dots instead."""
    found: defaultdict[tuple[State, State], list[str]] = defaultdict(list)
    for start, row in TRANSITIONS.items():
        for fact, targets in row.items():
            if not _is_dots(start, targets):
                for end in targets:
                    found[start, end].append(fact)
    return found


def _is_dots(start: State, targets: tuple[State, ...]) -> bool:
    return State.FAILED in targets or (start in ENDED and targets == (State.WAITING,))


def _centre(state: State) -> Point:
    right, down = PLACES[state]
    return MARGIN_X + right * STEP_X, MARGIN_Y + down * STEP_Y


def _box(state: State) -> Iterator[str]:
    x, y = _centre(state)
    if state in FINAL:
        kind = "final"
    elif state in ENDED:
        kind = "lost"
    else:
        kind = "placed" if state in PLACED else "other"
    yield (
        f'<rect class="box" x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" '
        f'height="{HEIGHT}" rx="8" fill="{COLOURS[kind]}"/>'
    )
    yield f'<text x="{x:g}" y="{y + 1:g}">{escape(state)}</text>'
    rows = TRANSITIONS[state].values()
    ends = {end for targets in rows if _is_dots(state, targets) for end in targets}
    for n, (end, letter) in enumerate((e, b) for e, b in BADGES.items() if e in ends):
        cx, cy = x - WIDTH / 2 + 14 + 15 * n, y + HEIGHT / 2
        yield f'<circle cx="{cx:g}" cy="{cy:g}" r="7" fill="#445"><title>{end}</title></circle>'
        yield f'<text class="end" x="{cx:g}" y="{cy + 3.5:g}">{letter}</text>'


def _bend(start: State, end: State) -> Point:
    """Give the control point of an arrow: the further it goes the more it bows out."""
    (x1, y1), (x2, y2) = _centre(start), _centre(end)
    if start is end:
        return x1, y1 - 1.6 * HEIGHT
    across, down = x2 - x1, y2 - y1
    length = (across**2 + down**2) ** 0.5
    # To the left of the way it goes, so that an arrow and its way back do not meet.
    bow = 22 if length < 1.3 * STEP_X else 0.2 * length
    return (x1 + x2) / 2 + down / length * bow, (y1 + y2) / 2 - across / length * bow


def _edge(state: State, towards: Point) -> Point:
    """Find where a line from a box's centre leaves the box."""
    x, y = _centre(state)
    across, down = towards[0] - x, towards[1] - y
    share = min(
        (WIDTH / 2 + 2) / abs(across) if across else 9e9,
        (HEIGHT / 2 + 2) / abs(down) if down else 9e9,
    )
    return x + across * share, y + down * share


def _arrow(start: State, end: State) -> str:
    bend = _bend(start, end)
    (x1, y1), (x2, y2) = _edge(start, bend), _edge(end, bend)
    if start is end:
        return (
            f'<path class="move" d="M{x1 - 22:.1f} {y1:.1f}C{x1 - 40:.1f} {bend[1]:.1f} '
            f'{x1 + 40:.1f} {bend[1]:.1f} {x1 + 22:.1f} {y1:.1f}"/>'
        )
    back = " back" if PLACES[end][1] < PLACES[start][1] else ""
    return (
        f'<path class="move{back}" d="M{x1:.1f} {y1:.1f}Q{bend[0]:.1f} {bend[1]:.1f} '
        f'{x2:.1f} {y2:.1f}"/>'
    )


def _label(start: State, end: State, facts: list[str]) -> str:
    bend = _bend(start, end)
    (x1, y1), (x2, y2) = _edge(start, bend), _edge(end, bend)
    # Nearer to where it starts: arrows that meet at one box meet at their ends.
    t = 0.42 if start is not end else 0.5
    x = (1 - t) ** 2 * x1 + 2 * t * (1 - t) * bend[0] + t**2 * x2
    y = (1 - t) ** 2 * y1 + 2 * t * (1 - t) * bend[1] + t**2 * y2
    return f'<text class="fact" x="{x:.1f}" y="{y + 3:.1f}">{escape(", ".join(facts))}</text>'
