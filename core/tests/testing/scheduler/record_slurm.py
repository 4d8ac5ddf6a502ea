"""Have the dialogues with a real Slurm and keep its answers.

    SLURM_CONF=... STC_ROOT=... STC_UP=... python record_slurm.py [NAME...]

The cluster has two nodes of two CPUs, KillWait 5, no GPUs and nobody else on it; STC_ROOT is its
folder, STC_UP a command that starts what is not running.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from slurm_dialogues import DIALOGUES, SCRIPTS
from slurm_sides import RealSide

RECORDED = Path(__file__).parent / "recorded"


def main(names: list[str]) -> None:
    """Record the dialogues of these names, or all."""
    version = subprocess.run(["sbatch", "-V"], check=True, capture_output=True, text=True).stdout
    number = version.split()[-1]
    folder = RECORDED / f"slurm-{'.'.join(number.split('.')[:2])}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or DIALOGUES:
        with tempfile.TemporaryDirectory() as scripts:
            for file, content in SCRIPTS.items():
                (Path(scripts) / file).write_bytes(content)
            side = RealSide(Path(scripts))
            side.have("scancel --me")
            side.until("", "squeue -h")
            said = side.have(DIALOGUES[name])
        head = f"# {version.strip()}; by record_slurm.py from the dialogue {name!r}.\n\n"
        (folder / f"{name}.txt").write_text(head + "\n".join(one.text() for one in said), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
