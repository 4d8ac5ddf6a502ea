"""Any bytes in arguments, variables, names and paths reach a command as they were."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from slurm_cluster import SlurmCluster
from slurm_site import Site, Sites

from drover import JobSpec

SHOW = (
    "import os, sys; os.write(1, b'\\0'.join([os.getcwdb(), *sorted(k + b'=' + v for k, v in "
    "os.environb.items() if k.startswith(b'V_')), *map(os.fsencode, sys.argv[1:]), "
    "sys.stdin.buffer.read()]))"
)
NASTY = (
    b"", b" ", b"a b", b"'", b'"', b"'\"'", b"$HOME", b"${X}", b"$(id)", b"`id`", b"\\", b"\\n",
    b"a\nb", b"\n", b"\r", b"\t", b"%", b"%j", b"%%", b"%A_%a", b"*", b"?", b"~", b"~root", b"#",
    b"!", b"!!", b";", b"|", b"&", b"<", b">", b"-", b"--", b"--wrap=x", b"=", b"a=b", b"{", b"{}",
    b"{SLURM_JOB_ID}", b"\xff", b"\xc3", b"\xe2\x82\xac", b"\xed\xa0\x80", b"\x01\x7f", b"[0-3]",
    b"x" * 5000,
)  # fmt: skip
WORDS = st.one_of(
    st.sampled_from(NASTY),
    st.binary(max_size=30).map(lambda word: word.replace(b"\0", b"")),
    st.lists(st.sampled_from(NASTY[:-1]), max_size=4).map(b"".join),
)
NAMES = st.one_of(st.sampled_from(NASTY[1:-1]), st.binary(min_size=1, max_size=20)).map(
    lambda name: b"d" + name.replace(b"\0", b"").replace(b"/", b"_")
)
EXAMPLE = st.tuples(
    st.lists(WORDS, max_size=6), st.dictionaries(st.integers(0, 9), WORDS, max_size=3), NAMES
)
BATCH = 40


@pytest.fixture
def site(slurm: SlurmCluster, site_on: Sites) -> Site:
    """Open a store on the cluster with accounting."""
    return site_on(slurm)


def text(word: bytes) -> str:
    """Give bytes as the text that stands for them."""
    return os.fsdecode(word)


@pytest.mark.slow
def test_every_byte_arrives(site: Site) -> None:
    """No shell, template or locale on the way may change a word: hundreds go as one array."""
    serial = 0

    @settings(
        max_examples=3,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(EXAMPLE, min_size=BATCH, max_size=BATCH))
    def arrive(batch: list[tuple[list[bytes], dict[int, bytes], bytes]]) -> None:
        nonlocal serial
        specs: list[JobSpec] = []
        expected: list[bytes] = []
        outputs: list[Path] = []
        for words, variables, name in batch:
            serial += 1
            cwd = os.fsencode(site.work)
            stdin, stdout = (b"%s.%d.%s" % (name, serial, end) for end in (b"in", b"out"))
            Path(text(cwd + b"/" + stdin)).write_bytes(name)
            names = {f"V_{key}": text(value) for key, value in variables.items()}
            # `%j` and `%a` in paths are ours to replace, and `%%` is a percent sign.
            specs.append(
                JobSpec(
                    argv=("/usr/bin/python3", "-ISc", SHOW, *map(text, words)),
                    cwd=text(cwd),
                    env=names,
                    name=text(name),
                    stdin=text(stdin.replace(b"%", b"%%")),
                    stdout=text(stdout.replace(b"%", b"%%")),
                )
            )
            pairs = sorted(f"{k}={v}".encode("utf-8", "surrogateescape") for k, v in names.items())
            expected.append(b"\0".join([cwd, *pairs, *words, name]))
            outputs.append(Path(text(cwd + b"/" + stdout)))
        jobs = site.submit_many(specs)
        site.until(lambda: all(job.state.ends_wait for job in jobs), jobs[0])

        assert [0] * BATCH == [job.wait(0).exit_code for job in jobs], site.story(jobs[0])
        assert expected == [path.read_bytes() for path in outputs]

    arrive()


def test_a_folder_of_any_name_can_be_worked_in(site: Site) -> None:
    """Sbatch is told the folder, and Slurm has replacements and quotes of its own."""
    jobs, expected = [], []
    for name in NASTY[1:-1]:
        folder = Path(text(os.fsencode(site.work) + b"/d" + name))
        folder.mkdir()
        (folder / "in").write_bytes(b"hello")
        made = site.session.submit(
            ["/usr/bin/python3", "-ISc", SHOW],
            name=text(name),
            cwd=str(folder),
            stdin="in",
            stdout="out",
        )
        jobs.append(made)
        expected.append((folder, os.fsencode(folder) + b"\0hello"))
    site.until(lambda: all(job.state.ends_wait for job in jobs), jobs[0])

    assert [0] * len(jobs) == [job.wait(0).exit_code for job in jobs]
    assert [told for _, told in expected] == [(f / "out").read_bytes() for f, _ in expected]


def test_a_store_may_lie_anywhere(
    slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script and the log of a submission lie in the store, whose path Slurm is told."""
    folder = tmp_path / text(b'it\'s "$HOME" 100%j \\n \xff')
    with Site(slurm, folder, monkeypatch) as site:
        jobs = site.submit_many(site.spec("echo said; exit 7", name=f"k{k}") for k in range(2))

        assert [("EXITED", 7, 1)] * 2 == [site.told(job) for job in jobs]
        assert ["said\n"] * 2 == [job.stdout.read() for job in jobs]
