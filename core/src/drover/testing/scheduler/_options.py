"""Options as getopt_long(3) reads them: strictly, with its messages."""

from collections.abc import Sequence
from typing import Final

from attrs import field, frozen


class OptionError(Exception):
    """An option that the command does not know, in getopt's words."""


@frozen
class Option:
    """One option."""

    long: str
    short: str = ""
    argument: str = ""
    """"" for none, `=` for one that is needed, `?` for one that may be left out."""


@frozen(kw_only=True)
class Parsed:
    """A command line, read."""

    options: tuple[tuple[str, str], ...] = ()
    """Long names with their values, in the order given."""
    rest: tuple[str, ...] = ()
    """What is no option."""
    values: dict[str, str] = field(factory=dict[str, str])
    """The last value of each."""

    def has(self, name: str) -> bool:
        """Tell whether an option was given."""
        return name in self.values

    def get(self, name: str, default: str = "") -> str:
        """Give the last value of an option."""
        return self.values.get(name, default)

    def count(self, name: str) -> int:
        """Count how often an option was given."""
        return sum(given == name for given, _ in self.options)

    def items(self, name: str) -> list[str]:
        """Give the parts of a value that is a list with commas, of all times it was given."""
        values = [value for given, value in self.options if given == name]
        return [part for value in values for part in value.split(",") if part]


class Grammar:
    """The options of one command."""

    def __init__(self, command: str, text: str, *, mixed: bool = True) -> None:
        """Read a table of options.

        Args:
            command: For messages.
            text: A word per option: `-J|--job-name=`, `--exclusive?`, `-H|--hold`.
            mixed: Whether options may follow what is none.
        """
        self.command: Final = command
        self.mixed: Final = mixed
        self._long: Final[dict[str, Option]] = {}
        self._short: Final[dict[str, Option]] = {}
        for word in text.split():
            names, argument = (word[:-1], word[-1]) if word[-1] in "=?" else (word, "")
            *short, long = names.split("|")
            option = Option(long.removeprefix("--"), "".join(short).removeprefix("-"), argument)
            self._long[option.long] = option
            if option.short:
                self._short[option.short] = option

    @property
    def names(self) -> frozenset[str]:
        """Give the long options."""
        return frozenset(self._long)

    def parse(self, words: Sequence[str]) -> Parsed:
        """Read a command line.

        Raises:
            OptionError: It has an option that is not in the table, or that is used wrongly.
        """
        found: list[tuple[str, str]] = []
        rest: list[str] = []
        left = list(words)
        while left:
            word = left.pop(0)
            if word == "--":
                break
            if word.startswith("--"):
                found.append(self._read_long(word, left))
            elif word.startswith("-") and word != "-":
                found += self._read_short(word, left)
            elif self.mixed:
                rest.append(word)
            else:
                left.insert(0, word)
                break
        return Parsed(options=tuple(found), rest=(*rest, *left), values=dict(found))

    def _read_long(self, word: str, left: list[str]) -> tuple[str, str]:
        name, equals, value = word[2:].partition("=")
        option = self._long.get(name) or self._abbreviated(name)
        if equals and not option.argument:
            raise OptionError(f"option '--{option.long}' doesn't allow an argument")
        if option.argument == "=" and not equals:
            if not left:
                raise OptionError(f"option '--{name}' requires an argument")
            value = left.pop(0)
        return option.long, value

    def _abbreviated(self, name: str) -> Option:
        near = [option for long, option in self._long.items() if name and long.startswith(name)]
        if not near:
            raise OptionError(f"unrecognized option '--{name}'")
        if len(near) > 1:
            names = " ".join(f"'--{option.long}'" for option in near)
            raise OptionError(f"option '--{name}' is ambiguous; possibilities: {names}")
        return near[0]

    def _read_short(self, word: str, left: list[str]) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            option = self._short.get(letter)
            if option is None:
                raise OptionError(f"invalid option -- '{letter}'")
            if not option.argument:
                found.append((option.long, ""))
                continue
            if option.argument == "=" and not letters:
                if not left:
                    raise OptionError(f"option requires an argument -- '{letter}'")
                letters = left.pop(0)
            found.append((option.long, letters))
            break
        return found
