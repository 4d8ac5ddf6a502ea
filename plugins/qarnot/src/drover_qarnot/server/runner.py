"""Run one instance: lay its resources out, then become its command.

A file of its own that imports nothing but the standard library: it is started for every instance,
by `python -I -S`, wherever the backend runs jobs. It is replaced by the command (exec), so that
signals, the exit code and what is used are the command's own.

Usage: runner.py TASK_FOLDER, with DROVER_ARRAY_INDEX in the environment.
"""

import os
import sys

# `typing`, `re`, `shlex`, `shutil` and `json` take longer to import than all else that happens
# here: what is needed of them is imported where there is work for it.

CARRIED = "QARNOT_CARRIED_"
"""In front of the names of constants while they travel, so that none changes how this program, or
what starts it, works."""
NOT_FOUND = 127
NOT_RUN = 126


class Plan:
    """What the server has written down for all instances of a task."""

    def __init__(
        self, *, instances: str, command_line: str, layers: list[str], argv: list[str]
    ) -> None:
        self.instances = instances
        """How many."""
        self.command_line = command_line
        """The constant that is split into words; empty for none."""
        self.layers = layers
        """Folders that are laid over each other."""
        self.argv = argv
        """First words of the command."""


def write_plan(plan: Plan) -> bytes:
    """Write a plan: fields that end in NUL, which no path and no argument can hold."""
    fields = [plan.instances, plan.command_line, str(len(plan.layers)), *plan.layers, *plan.argv]
    return b"".join(os.fsencode(field) + b"\0" for field in fields)


def read_plan(data: bytes) -> Plan:
    """Read what `write_plan` wrote."""
    count, command_line, size, *rest = map(os.fsdecode, data.split(b"\0")[:-1])
    layers, argv = rest[: int(size)], rest[int(size) :]
    return Plan(instances=count, command_line=command_line, layers=layers, argv=argv)


def expand(text: str, variables: dict[str, str]) -> str:
    """Write the values of `${NAME}` in place; of names that nobody knows nothing is changed."""
    if "${" not in text:
        return text
    import re

    return re.sub(r"\$\{([A-Za-z0-9_.-]+)\}", lambda found: variables.get(found[1], found[0]), text)


def split(line: str) -> list[str]:
    """Split a command line as Docker does.

    Raises:
        ValueError: Quotes do not match.
    """
    # What shlex takes for white space, and no more.
    if line.isascii() and not set(line) & set("'\"\\\v\f\x1c\x1d\x1e\x1f"):
        return line.split()
    import shlex

    return shlex.split(line)


def command_of(plan: Plan, variables: dict[str, str]) -> list[str]:
    """Make the command's words.

    Raises:
        ValueError: Quotes do not match.
    """
    words = [expand(word, variables) for word in plan.argv]
    if plan.command_line:
        words += split(expand(variables.get(plan.command_line, ""), variables))
    return words


def lay_out(layers: list[str], target: str) -> dict[str, list[int]]:
    """Copy layers over each other, later ones win. Links are not followed, and not copied.

    Returns:
        Size and time of each file by its path, to tell later what is new.
    """
    manifest: dict[str, list[int]] = {}
    for layer in layers:
        for folder, _, names in os.walk(layer):
            inside = os.path.relpath(folder, layer)
            os.makedirs(os.path.join(target, inside), exist_ok=True)
            for name in names:
                path = os.path.normpath(os.path.join(inside, name))
                source, copy = os.path.join(layer, path), os.path.join(target, path)
                if os.path.islink(source):
                    continue
                if os.path.lexists(copy):
                    os.unlink(copy)
                import shutil

                shutil.copy2(source, copy)
                found = os.stat(copy)
                manifest[path] = [found.st_size, found.st_mtime_ns]
    return manifest


def _note(path: str, manifest: dict[str, list[int]]) -> None:
    text = "{}"
    if manifest:
        import json

        text = json.dumps(manifest)
    with open(f"{path}.draft", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.draft", path)


def variables_of(plan: Plan, index: str, place: str) -> dict[str, str]:
    """Make the environment of an instance: the constants, and what tells it who it is."""
    job = os.path.join(place, "job")
    temporary = os.path.join(place, "tmp")
    named = {
        name.removeprefix(CARRIED): value
        for name, value in os.environ.items()
        if name.startswith(CARRIED)
    }
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": job,
        "LANG": "C.UTF-8",
        **{name: value for name, value in os.environ.items() if name.startswith("DROVER_")},
        **named,
        "INSTANCE_ID": index,
        "INSTANCE_COUNT": plan.instances,
        "FRAME_ID": index,
        "QRANK": index,
        "QSIZE": plan.instances,
        "TASK_PATH": job,
        "QARNOT_RESOURCES_DIRECTORY": job,
        "QARNOT_RESULTS_DIRECTORY": job,
        "TMP_PATH": temporary,
        "TMP_RAMFS_PATH": temporary,
        "TMPDIR": temporary,
    }


def _streams_to(place: str, index: str) -> list[int]:
    """Write to the instance's files from here on.

    Returns:
        What is in them already, in bytes.
    """
    sizes: list[int] = []
    for stream, number in (("stdout", 1), ("stderr", 2)):
        path = os.path.join(place, "out", f"{index}.{stream}")
        # Appended to: a second attempt goes on where the first ended.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        sizes.append(os.fstat(handle).st_size)
        os.dup2(handle, number)
        os.close(handle)
    return sizes


def _sign(path: str, sizes: list[int]) -> None:
    """Write down which process this is, and where its output begins, for who watches it.

    Source: proc(5), field 22 of /proc/PID/stat, in ticks since boot. Without /proc: nothing.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read().strip().decode()
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        boot, ticks = "-", 0
    line = f"{boot} {os.getpid()} {ticks} {sizes[0]} {sizes[1]}\n".encode()
    draft = f"{path}.{os.getpid()}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(handle, line)
    os.close(handle)
    # In one step: of an earlier attempt's longer line nothing may be left behind it.
    os.replace(draft, path)


def main(folder: str) -> int:
    """Run the instance that the environment names."""
    os.umask(0o077)
    index = str(int(os.environ["DROVER_ARRAY_INDEX"]))
    with open(os.path.join(folder, "plan"), "rb") as file:
        plan = read_plan(file.read())
    sizes = _streams_to(folder, index)
    place = os.path.join(folder, "i", index)
    # What an earlier attempt left must not look like this one's work.
    if os.path.lexists(place):
        import shutil

        shutil.rmtree(place, ignore_errors=True)
    for name in ("job", "tmp"):
        os.makedirs(os.path.join(place, name))
    job = os.path.join(place, "job")
    try:
        manifest = lay_out(plan.layers, job)
        _note(os.path.join(place, "manifest.json"), manifest)
        variables = variables_of(plan, index, place)
        words = command_of(plan, variables)
        _sign(os.path.join(place, "process"), sizes)
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"the instance could not be made ready: {exc}\n")
        return NOT_RUN
    if not words:
        return 0
    os.chdir(job)
    try:
        os.execvpe(words[0], words, variables)  # noqa: S606 - a list of words
    except FileNotFoundError:
        sys.stderr.write(f"{words[0]}: command not found\n")
        return NOT_FOUND
    except (OSError, ValueError) as exc:
        sys.stderr.write(f"{words[0]}: {exc}\n")
        return NOT_RUN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
