"""Faults at random, by probabilities and a seed."""

from typing import Protocol

from attrs import evolve, frozen

from drover.testing.scheduler import _faults as faults
from drover.testing.scheduler._calls import Call, Reply, Row
from drover.testing.scheduler._faults import Fault, Go, Surroundings


class Climate(Surroundings, Protocol):
    """What weather needs of a kind of scheduler."""

    def trouble(self, call: Call) -> Reply:
        """Answer as when the server cannot be asked now."""
        ...

    def reword(self, row: Row) -> Row:
        """Print a state that nobody knows, if the row has one."""
        ...

    def changes(self, call: Call) -> bool:
        """Tell whether the call would change anything."""
        ...


@frozen(kw_only=True)
class Weather:
    """How often what goes wrong: probabilities from 0 to 1, drawn for each call or row."""

    fail: float = 0.0
    """The server cannot be asked now, in the scheduler's own words."""
    lose_request: float = 0.0
    """Nothing is done, and the command never returns."""
    lose_answer: float = 0.0
    """Everything is done, and the command never returns."""
    accept_late: float = 0.0
    """The server cannot be asked now, and does it all the same within `late_s`."""
    late_s: float = 30.0
    be_slow: float = 0.0
    slow_s: float = 10.0
    lag_s: float = 0.0
    """Most seconds that a listing is behind."""
    say_nothing: float = 0.0
    cut: float = 0.0
    """The output stops somewhere."""
    noise: float = 0.0
    """A line that has nothing to do with it, in front of the output and on standard error."""
    bad_bytes: float = 0.0
    """The noise is no UTF-8."""
    drop_row: float = 0.0
    repeat_row: float = 0.0
    strange_word: float = 0.0
    """A row with a word for its state that nobody knows."""

    def around(self, call: Call, go: Go, world: Climate) -> Reply:
        """Carry a call out in this weather."""
        for chance, fault in self._faults(call, world):
            if chance > 0 and world.random.random() < chance:
                go = _wrapped(fault, go, world)
        return go(call)

    def _faults(self, call: Call, world: Climate) -> list[tuple[float, Fault]]:
        draw = world.random
        chances: list[tuple[float, Fault]] = [
            (self.cut, faults.rewrite(lambda reply: self._cut(reply, world))),
            (self.say_nothing, faults.say_nothing()),
            (self.noise, faults.add_noise(self._line(world), errors=self._line(world))),
            (self.be_slow, faults.be_slow(self.slow_s)),
            (self.lose_answer, faults.lose_answer()),
            (self.lose_request, faults.lose_request()),
            (self.fail, lambda call, _go, _around: world.trouble(call)),
        ]
        if world.changes(call):
            return [*chances, (self.accept_late, self._late(world))]
        lag_s = draw.uniform(0.0, self.lag_s)
        rows = faults.rewrite(lambda reply: self._rows(reply, world))
        return [(1.0, rows), *chances, (1.0, faults.lag(lag_s))]

    def _late(self, world: Climate) -> Fault:
        def fault(call: Call, go: Go, around: Surroundings) -> Reply:
            late_s = world.random.uniform(0.0, self.late_s)
            return faults.accept_late(late_s, world.trouble(call))(call, go, around)

        return fault

    def _line(self, world: Climate) -> bytes:
        if self.bad_bytes > 0 and world.random.random() < self.bad_bytes:
            return b"\xff\xfe motd \x80\n"
        return b"*** maintenance on Tuesday ***\n"

    def _cut(self, reply: Reply, world: Climate) -> Reply:
        keep = world.random.randint(0, len(reply.output))
        return reply.with_output(reply.output[:keep])

    def _rows(self, reply: Reply, world: Climate) -> Reply:
        def roll(chance: float) -> bool:
            return chance > 0 and world.random.random() < chance

        rows: list[Row] = []
        for row in reply.rows:
            if row.of and roll(self.drop_row):
                continue
            shown = world.reword(row) if row.of and roll(self.strange_word) else row
            rows += [shown, shown] if row.of and roll(self.repeat_row) else [shown]
        return evolve(reply, rows=tuple(rows))


def _wrapped(fault: Fault, go: Go, world: Climate) -> Go:
    return lambda call: fault(call, go, world)
