"""Numbers and tables as the page shows them."""

from collections.abc import Sequence
from math import isnan
from statistics import median


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; the first column holds words, the others what was measured."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Write a number with about three digits."""
    if isnan(value):
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.4f}"


def spread(numbers: Sequence[float]) -> str:
    """Write the median, with the least and the most where there are several."""
    if not numbers:
        return "-"
    if len(numbers) == 1:
        return number(numbers[0])
    return f"{number(median(numbers))} ({number(min(numbers))} to {number(max(numbers))})"


def ratio(numbers: Sequence[float]) -> str:
    """Write ratios, one per round, as their median and their spread."""
    if not numbers:
        return "-"
    least, most = (f"{value:.2g}" for value in (min(numbers), max(numbers)))
    return f"{median(numbers):.2g}" + ("" if len(numbers) == 1 else f" ({least} to {most})")
