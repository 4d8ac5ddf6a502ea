"""What was measured, as it is kept: from it the page is made without measuring again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import asdict, field, frozen
from stage import Round

FILE: Final = Path(__file__).parent / "results.json"
FORMAT: Final = 1


@frozen(kw_only=True)
class Measured:
    """One subject: the rounds, and the conditions that hold for all of them."""

    command: str
    scale: str
    machine: Mapping[str, Any]
    rounds: list[Round]
    note: str = ""

    def joined(self, later: "Measured") -> "Measured":
        """Add the rounds of another run.

        Raises:
            ValueError: It was made elsewhere, with something else, or with other sizes.
        """
        for what in ("cpu", "cores", "python", "drover"):
            if self.machine[what] != later.machine[what]:
                raise ValueError(f"{what} differs: {self.machine[what]}, {later.machine[what]}")
        if self.scale != later.scale:
            raise ValueError(f"sizes differ: {self.scale}, {later.scale}")
        notes = list(dict.fromkeys(note for note in (self.note, later.note) if note))
        return Measured(
            command=self.command,
            scale=self.scale,
            machine=later.machine,
            rounds=[*self.rounds, *later.rounds],
            note="; ".join(notes),
        )


@frozen(kw_only=True)
class Results:
    """All subjects that were measured."""

    subjects: Mapping[str, Measured] = field(factory=dict[str, Measured])

    def taking(self, name: str, measured: Measured, *, add: bool = False) -> "Results":
        """Put a subject in the place of what was there, or add to it."""
        old = self.subjects.get(name)
        new = old.joined(measured) if add and old is not None else measured
        return Results(subjects={**self.subjects, name: new})


def load(path: Path = FILE) -> Results:
    """Read what was kept; nothing if there is no file."""
    if not path.exists():
        return Results()
    rows = json.loads(path.read_text("utf-8"))
    if rows["format"] != FORMAT:
        raise ValueError(f"{path}: format {rows['format']}, and we read {FORMAT}")
    return Results(subjects={name: Measured(**row) for name, row in rows["subjects"].items()})


def save(results: Results, path: Path = FILE) -> None:
    """Keep it."""
    rows = {name: asdict(measured) for name, measured in sorted(results.subjects.items())}
    text = json.dumps({"format": FORMAT, "subjects": _rounded(rows)}, indent=1)
    path.write_text(text + "\n", "utf-8")


def _rounded(value: Any) -> Any:
    """Leave off digits that no clock has."""
    inner: Any = value
    if isinstance(value, dict):
        return {key: _rounded(inner[key]) for key in inner}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in inner]
    return float(f"{value:.6g}") if isinstance(value, float) else inner
