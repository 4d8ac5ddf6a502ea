"""Have the dialogues with a real Slurm and keep its answers: `python record_slurm.py [NAME...]`.

It brings a cluster up, as the tests do, and takes it down in the end.
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
sys.path += [str(ROOT), str(ROOT / "tests")]

from slurm_cluster import SlurmCluster  # noqa: E402 - found by the line before
from slurm_dialogues import DIALOGUES, SCRIPTS  # noqa: E402
from slurm_sides import OPTIONS, RealSide  # noqa: E402


def record(cluster: SlurmCluster, name: str, version: str) -> None:
    """Have one dialogue."""
    with tempfile.TemporaryDirectory() as scripts:
        for file, content in SCRIPTS.items():
            (Path(scripts) / file).write_bytes(content)
        side = RealSide(Path(scripts), cluster=cluster)
        side.clear()
        said = side.have(DIALOGUES[name])
    folder = HERE / "recorded" / f"slurm-{'.'.join(version.split('.')[:2])}"
    folder.mkdir(parents=True, exist_ok=True)
    head = f"# Slurm {version}; by record_slurm.py from the dialogue {name!r}.\n\n"
    (folder / f"{name}.txt").write_text(head + "\n".join(one.text() for one in said), "utf-8")


if __name__ == "__main__":
    with SlurmCluster(*OPTIONS, nodes=2) as made:
        number = made.run("sbatch", "-V").split()[-1]
        for wanted in sys.argv[1:] or DIALOGUES:
            record(made, wanted, number)
