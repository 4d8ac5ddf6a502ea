"""`sinfo`: partitions and nodes."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from attrs import frozen

from drover.testing.scheduler._calls import Call, Reply, Row, encoded, listed, said
from drover.testing.scheduler._options import OptionError, Parsed
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._details import node_state
from drover.testing.scheduler.slurm._grammar import SINFO
from drover.testing.scheduler.slurm._site import Partition, SlurmSite
from drover.testing.scheduler.slurm._text import expand_hosts, fold_hosts, length_text

_SHORT: Final = {"idle": "idle", "mixed": "mix", "allocated": "alloc"}


@frozen(kw_only=True)
class Group:
    """Nodes of one partition that are alike: a line."""

    partition: Partition
    state: str
    nodes: tuple[str, ...]
    taken: int
    """CPUs in use on all of them."""
    site: SlurmSite

    @property
    def cpus(self) -> str:
        """Give `%C`: allocated/idle/other/total."""
        total = len(self.nodes) * self.site.cpus
        return f"{self.taken}/{total - self.taken}/0/{total}"

    @property
    def counts(self) -> tuple[int, int]:
        """Give how many are in use and how many are not."""
        busy = 0 if self.state == "idle" else len(self.nodes)
        return busy, len(self.nodes) - busy

    @property
    def star(self) -> str:
        """Give `%P`."""
        default = self.partition.name == self.site.partitions[0].name
        return f"{self.partition.name}{'*' if default else ''}"


def _span(seconds: float | None) -> str:
    return "infinite" if seconds is None else length_text(seconds)


def _default_time(group: Group) -> str:
    seconds = group.partition.default_time_s
    return "n/a" if seconds is None else length_text(seconds)


def _gres(group: Group) -> str:
    return ",".join(f"{name}:{count}" for name, count in group.site.gres.items()) or "(null)"


FIELDS: Final[Mapping[str, Callable[[Group], str]]] = {
    "available": lambda group: "up" if group.partition.is_up else "down",
    "cluster": lambda group: group.site.cluster,
    "cpus": lambda group: str(group.site.cpus),
    "cpusstate": lambda group: group.cpus,
    "defaulttime": _default_time,
    "disk": lambda _group: "0",
    "features": lambda group: ",".join(sorted(group.site.features)) or "(null)",
    "gres": _gres,
    "groups": lambda _group: "all",
    "memory": lambda group: str(group.site.memory_mb),
    "nodeai": lambda group: "{}/{}".format(*group.counts),
    "nodeaiot": lambda group: "{}/{}/0/{}".format(*group.counts, len(group.nodes)),
    "nodehost": lambda group: fold_hosts(group.nodes),
    "nodelist": lambda group: fold_hosts(group.nodes),
    "nodes": lambda group: str(len(group.nodes)),
    "oversubscribe": lambda _group: "NO",
    "partition": lambda group: group.star,
    "partitionname": lambda group: group.partition.name,
    "reason": lambda _group: "none",
    "root": lambda _group: "no",
    "size": lambda _group: "1-infinite",
    "statecompact": lambda group: _SHORT[group.state],
    "statelong": lambda group: group.state,
    "time": lambda group: _span(group.partition.max_time_s),
    "version": lambda group: group.site.version,
    "weight": lambda _group: "1",
}
"""By the names of `sinfo -O`, in small letters."""

_LETTERS: Final[Mapping[str, tuple[str, str]]] = {
    "a": ("available", "AVAIL"),
    "A": ("nodeai", "NODES(A/I)"),
    "c": ("cpus", "CPUS"),
    "C": ("cpusstate", "CPUS(A/I/O/T)"),
    "d": ("disk", "TMP_DISK"),
    "D": ("nodes", "NODES"),
    "E": ("reason", "REASON"),
    "f": ("features", "AVAIL_FEATURES"),
    "F": ("nodeaiot", "NODES(A/I/O/T)"),
    "g": ("groups", "GROUPS"),
    "G": ("gres", "GRES"),
    "h": ("oversubscribe", "OVERSUBSCRIBE"),
    "l": ("time", "TIMELIMIT"),
    "L": ("defaulttime", "DEFAULTTIME"),
    "m": ("memory", "MEMORY"),
    "n": ("nodehost", "HOSTNAMES"),
    "N": ("nodelist", "NODELIST"),
    "P": ("partition", "PARTITION"),
    "r": ("root", "ROOT"),
    "R": ("partitionname", "PARTITION"),
    "s": ("size", "JOB_SIZE"),
    "t": ("statecompact", "STATE"),
    "T": ("statelong", "STATE"),
    "v": ("version", "VERSION"),
    "V": ("cluster", "CLUSTER"),
    "w": ("weight", "WEIGHT"),
}
_OF_PARTITIONS: Final = frozenset(
    {
        "available", "defaulttime", "groups", "oversubscribe", "partition", "partitionname",
        "root", "size", "time",
    }
)  # fmt: skip
"""Without any of these, nodes of several partitions are listed once."""
_USUAL: Final = "%9P %.5a %.10l %.6D %.6t %N"
_BY_NODE: Final = "%9N %.6D %.9P %6t"


def sinfo(controller: Controller, call: Call) -> Reply:
    """Run `sinfo`."""
    try:
        line = SINFO.parse(call.words)
    except OptionError as error:
        hint = 'Try "sinfo --help" for more information'
        return said(errors=f"sinfo: {error}\n{hint}\n", code=1)
    if line.has("version"):
        return said(f"slurm-wlm {controller.site.version}\n")
    columns, errors = _columns(line, call)
    groups = _groups(controller, call, line, {field for _, _, field, _, _ in columns})
    rows = [
        Row(
            of="",
            text=encoded(
                "".join(_put(column, _value(column[2], group)) for column in columns) + "\n"
            ),
        )
        for group in groups
    ]
    head = "".join(_put(column, column[3]) for column in columns) + "\n"
    return listed(rows, "" if line.has("noheader") else head, errors=errors)


def _value(field: str, group: Group) -> str:
    return FIELDS[field](group) if field else ""


_Column = tuple[bool, int, str, str, str]
"""Right justified, width, field, head, what follows."""


def _put(column: _Column, text: str) -> str:
    right, width, _, _, after = column
    if not width:
        return text + after
    return (text[:width].rjust(width) if right else text[:width].ljust(width)) + after


def _columns(line: Parsed, call: Call) -> tuple[list[_Column], str]:
    errors, columns = "", list[_Column]()
    if line.has("Format"):
        for part in line.get("Format").split(","):
            name, _, size = part.partition(":")
            match = re.match(r"(\.?)(\d*)(.*)", size, re.DOTALL)
            if name.lower() not in FIELDS or match is None:
                errors += f"Invalid node format specification: {part}\n"
                continue
            field = name.lower()
            columns.append((bool(match[1]), int(match[2] or 20), field, field.upper(), match[3]))
        return columns, errors
    usual = _BY_NODE if line.has("Node") else _USUAL
    text = line.get("format") or call.environment.get("SINFO_FORMAT", "") or usual
    for piece in re.split(r"(?=%)", text):
        match = re.match(r"%(\.?)(\d*)([A-Za-z])", piece)
        if match is None or match[3] not in _LETTERS:
            if piece.startswith("%"):
                errors += f"Invalid node format specification: {piece[1:2]}\n"
            columns.append((False, 0, "", "", piece))
            continue
        field, head = _LETTERS[match[3]]
        columns.append((bool(match[1]), int(match[2] or 0), field, head, piece[match.end() :]))
    return columns, errors


def _groups(controller: Controller, call: Call, line: Parsed, fields: set[str]) -> list[Group]:
    site = controller.site
    jobs = controller.jobs(call.as_of)
    wanted = line.items("partition")
    nodes = set(expand_hosts(line.get("nodes"))) if line.has("nodes") else set(site.nodes)
    states = {word.lower() for word in line.items("states")}
    found: list[Group] = []
    apart = not fields.isdisjoint(_OF_PARTITIONS)
    for partition in site.partitions if apart or wanted else site.partitions[:1]:
        if wanted and partition.name not in wanted:
            continue
        alike: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for node in [one for one in site.nodes if one in nodes]:
            state, taken = node_state(node, jobs, site)
            if states and not states & {state, _SHORT[state]}:
                continue
            alone = node if line.has("Node") else ""
            together = "" if not fields & {"statecompact", "statelong"} else state
            alike.setdefault((together, alone), []).append((node, taken))
        for members in alike.values():
            names = tuple(node for node, _ in members)
            state = node_state(names[0], jobs, site)[0]
            total = sum(taken for _, taken in members)
            found.append(
                Group(partition=partition, state=state, nodes=names, taken=total, site=site)
            )
    order = {"mixed": 0, "allocated": 1, "idle": 2}
    if line.has("Node"):
        return sorted(found, key=lambda group: group.nodes)
    return sorted(
        found, key=lambda group: (site.partitions.index(group.partition), order[group.state])
    )
