"""What is asked for, in Grid Engine's words and in DRMAA's."""

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from ge_speech import CONFIG, SCRIPT, Reply, play, spec

from drover.commandline import Command
from drover.models import Array, Condition, JobSpec, Plan, Predecessor, Resources, Support
from drover_drmaa import _options, _plan, _template
from drover_drmaa._config import PLAIN, DrmaaConfig
from drover_drmaa._gridengine import GridEngine
from drover_drmaa._names import job_name, key_of
from drover_drmaa._plain import PlainDrmaa


def words(native: dict[str, Any] | None = None, **fields: Any) -> str:
    made = spec(native={"drmaa": native or {}}, **fields)
    return " ".join(_options.words("drmaa", made, CONFIG))


def asked(**resources: Any) -> str:
    return words(resources=Resources(**resources))


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({}, "-r n"),
        ({"cpus": 4}, "-pe smp 4 -r n"),
        ({"tasks": 3, "cpus": 2}, "-pe smp 6 -r n"),
        ({"memory": "1000KiB", "cpus": 4}, "-pe smp 4 -r n -hard -l h_vmem=256000"),
        ({"gpus": 2}, "-r n -hard -l gpu=2"),
        ({"gpus": 2, "cpus": 2}, "-pe smp 2 -r n -hard -l gpu=1"),
        ({"wall_time": 60.5}, "-r n -hard -l h_rt=76"),
        ({"exclusive": True}, "-r n -hard -l exclusive=TRUE"),
        ({"queue": "all.q@@big"}, "-q all.q@@big -r n"),
        ({"account": "lab"}, "-P lab -r n"),
        ({"reservation": "7"}, "-ar 7 -r n"),
        ({"priority": -5}, "-p -5 -r n"),
    ],
)
def test_resources(resources: dict[str, Any], said: str) -> None:
    """Each field of the resources is asked for."""
    assert said == asked(**resources)


def test_disk_wants_a_resource_of_the_site() -> None:
    """Grid Engine has none by itself."""
    made = spec(resources=Resources(disk=1000))
    with pytest.raises(_options.UnfitError, match="disk_resource"):
        _options.words("drmaa", made, CONFIG)

    config = DrmaaConfig(disk_resource="scratch")
    assert "-l scratch=1000" in " ".join(_options.words("drmaa", made, config))


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ({"gpus": 1, "cpus": 2}, "not to be shared"),
        ({"priority": 5000}, "priorities go from"),
        ({"queue": "a b"}, "no name on Grid Engine"),
        ({"account": "a\nb"}, "no name on Grid Engine"),
    ],
)
def test_what_cannot_be_said_is_refused(resources: dict[str, Any], why: str) -> None:
    """Half of what was asked for is something else."""
    with pytest.raises(_options.UnfitError, match=why):
        asked(**resources)


NATIVE = [
    ({"pe": "mpi", "slots": "8-16"}, "-pe mpi 8-16 -r n"),
    ({"queue": "short.q"}, "-q short.q -r n"),
    ({"masterq": "all.q"}, "-masterq all.q -r n"),
    ({"l": {"matlab": 1, "fast": True}}, "-r n -hard -l matlab=1,fast=TRUE"),
    ({"soft_l": {"arch": "x86"}, "soft_queue": "a.q"},
     "-r n -soft -l arch=x86 -q a.q -hard"),
    ({"project": "lab"}, "-P lab -r n"),
    ({"account": "paper7"}, "-A paper7 -r n"),
    ({"priority": -1}, "-p -1 -r n"),
    ({"job_share": 3}, "-js 3 -r n"),
    ({"ar": 9}, "-ar 9 -r n"),
    ({"mail": "abe"}, "-m abe -r n"),
    ({"notify": True}, "-notify -r n"),
    ({"reserve": True}, "-R y -r n"),
    ({"ckpt": "blcr", "ckpt_when": "s"}, "-ckpt blcr -c s -r n"),
    ({"binding": "linear:2"}, "-binding linear:2 -r n"),
    ({"deadline": "202701010000"}, "-dl 202701010000 -r n"),
    ({"context": {"a": "b"}}, "-ac a=b -r n"),
    ({"validation": "n"}, "-w n -r n"),
    ({"jsv": "/site/jsv.sh"}, "-jsv /site/jsv.sh -r n"),
    ({"max_running_tasks": 2}, "-tc 2 -r n"),
    ({"hardWallclockTimeLimit": "1:00:00"}, "-r n -hard -l h_rt=3600"),
    ({"softWallclockTimeLimit": 60}, "-r n -hard -l s_rt=60"),
    ({"options": ["-l", "foo=1"]}, "-r n -l foo=1"),
    ({"nativeSpecification": "-l foo=1 -P lab"}, "-r n -l foo=1 -P lab"),
    ({"dependencies": True}, "-r n"),
]  # fmt: skip


@pytest.mark.parametrize(("native", "said"), NATIVE)
def test_native_options(native: dict[str, Any], said: str) -> None:
    """Each option is a word of qsub's."""
    assert "" == _options.native_problem("drmaa", native, CONFIG)
    assert said == words(native)


def test_a_limit_of_the_run_alone_is_none_of_grid_engines() -> None:
    """It counts on while a job is suspended, overnight or over a weekend."""
    made = spec(native={"drmaa": {"hardRunDurationLimit": 60}})
    scheduler = GridEngine("drmaa", CONFIG)

    assert "drmaa_native_specification=-r n" in scheduler.plan(made, SCRIPT).command
    assert 60.0 == scheduler.as_specified(made).resources.wall_time


def test_no_option_is_without_a_test() -> None:
    """A table with a row that nobody tried is a guess."""
    tried = {name for native, _ in NATIVE for name in native} | set(TEMPLATES) | set(MOVED)

    assert set(_options.kinds("gridengine")) - tried - set(_options.UNSUPPORTED) == set()


def test_requeue_is_grid_engines_rerun() -> None:
    """Off unless it is asked for, whatever the queue's default is."""
    assert "-r y" == words(requeue=True)


def predecessor(native_id: str) -> Predecessor:
    return Predecessor(job="j", token="t", native_id=native_id, condition=Condition.SUCCEEDED)


def test_dependencies_of_grid_engines_own() -> None:
    """It waits for jobs and knows no elements; how they ended is the wrapper's to see."""
    jobs = [predecessor("7"), predecessor("9.3"), predecessor("9.4")]
    whole = evolve(predecessor(""), native_ids=("12", "9", "13"))

    assert ["-hold_jid", "7,9"] == _options.dependencies(jobs)
    assert ["-hold_jid", "7,9,12,13"] == _options.dependencies([*jobs, whole])
    assert [] == _options.dependencies([])


@pytest.mark.parametrize(
    ("native", "why"),
    [
        ({"nosuch": 1}, "no option 'nosuch'"),
        ({"pe": 3}, "is text"),
        ({"l": "h_rt=1"}, "is a table"),
        ({"l": {"a": "1,b=2"}}, "one word"),
        ({"l": {"a": "1 -o /etc"}}, "one word"),
        ({"queue": "a b"}, "one word"),
        ({"options": ["-i", "/x"]}, "-i is given by drover"),
        ({"options": ["a b"]}, "one word without blanks"),
        ({"nativeSpecification": "-hold_jid 7"}, "-hold_jid is given by drover"),
        ({"nativeSpecification": "-b n"}, "-b n: a command is executed as it is"),
        ({"options": ["-shell", "y"]}, "`sh`, `-c`"),
        ({"options": ["-now", "y"]}, "until there is room"),
        ({"nativeSpecification": "-r y"}, "the field `requeue`"),
        ({"nativeSpecification": "-j maybe"}, "yes or no"),
        ({"nativeSpecification": "-q all.q -N"}, "-N wants a value"),
        ({"nativeSpecification": "-o elsewhere:/x"}, "another host"),
        ({"nativeSpecification": "-e $HOSTNAME.e"}, "of variables there are HOME"),
        ({"nativeSpecification": "-l a=1\n-x"}, "one line"),
        ({"deadlineTime": "10:00"}, "give the field `deadline`"),
        ({"softRunDurationLimit": 3}, "suspended time"),
        ({"transferFiles": "i"}, "`inputs` and `outputs`"),
        ({"startTime": "tomorrow"}, "no time"),
        ({"hardWallclockTimeLimit": 0}, "no limit"),
        ({"outputPath": "no colon"}, "no path"),
        ({"jobSubmissionState": "held"}, "drmaa_hold"),
        ({"notify": "yes"}, "true or false"),
        ({"priority": True}, "whole number"),
    ],
)
def test_bad_options_say_what_is_wrong(native: dict[str, Any], why: str) -> None:
    """Neither passed over, nor passed on."""
    assert why in _options.native_problem("drmaa", native, CONFIG)


# --- flags that are fields ---------------------------------------------------------------------


def flagged(words: str, **fields: Any) -> JobSpec:
    """Give what becomes of words in both of the options that may hold them."""
    made = [
        GridEngine("drmaa", CONFIG).as_specified(spec(native={"drmaa": native}, **fields))
        for native in ({"nativeSpecification": words}, {"options": words.split()})
    ]
    assert "" == _options.native_problem("drmaa", {"nativeSpecification": words}, CONFIG)
    assert evolve(made[0], native={}) == evolve(made[1], native={})
    return made[0]


@pytest.mark.parametrize(
    "words",
    ["-V", "-cwd", "-b y", "-shell n", "-S /bin/bash", "-now no", "-terse", "-sync n", "-r n",
     "-j n", "-V -cwd -b yes -j n"],
)  # fmt: skip
def test_flags_for_what_is_done_anyhow(words: str) -> None:
    """They are in most native specifications that were ever written."""
    assert spec(native={"drmaa": {}}) == flagged(words)
    assert {"nativeSpecification": "-q all.q -l a=1"} == dict(
        flagged(f"-q all.q {words} -l a=1").native["drmaa"]
    )


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("-N mine", {"name": "mine"}),
        ("-j y", {"join_output": True}),
        ("-o /x/50%.out", {"stdout": "/x/50%%.out"}),
        ("-e logs/e", {"stderr": "logs/e"}),
        ("-o localhost:/x", {"stdout": "/x"}),
        ("-o $HOME/$JOB_NAME.$JOB_ID.$TASK_ID", {"stdout": "HOME/true.%j.undefined"}),
        ("-N n -o $JOB_NAME.o", {"name": "n", "stdout": "n.o"}),
    ],
)
def test_flags_are_fields(words: str, wanted: dict[str, Any]) -> None:
    """Handed over as they are they would be the wrapper's, or nobody's."""
    made = flagged(words)
    home = _template.home_directory()

    told = {k: v.replace("HOME", home) if isinstance(v, str) else v for k, v in wanted.items()}
    assert told == {name: getattr(made, name) for name in told}
    assert {} == dict(made.native["drmaa"])


def test_fields_win_over_flags() -> None:
    """As attributes of a template do on Grid Engine."""
    made = flagged("-N other -o /other -e /other", name="mine", stdout="out", stderr="err")
    template = GridEngine("drmaa", CONFIG).as_specified(
        spec(native={"drmaa": {"jobName": "mine", "outputPath": ":out", "options": ["-N", "x",
                                                                                    "-o", "/x"]}})
    )  # fmt: skip

    assert ("mine", "out", "err") == (made.name, made.stdout, made.stderr)
    assert ("mine", "out") == (template.name, template.stdout)


def test_a_folder_for_output_gets_a_file_as_on_grid_engine(tmp_path: Path) -> None:
    """`-o logs` is what most people write."""
    (tmp_path / "100%").mkdir()
    made = flagged(f"-N n -o 100% -e {tmp_path}/100%/", cwd=str(tmp_path))
    array = flagged("-o t.$TASK_ID", cwd=str(tmp_path), array=Array(indices=3))

    assert ("100%%/n.o%j", f"{tmp_path}/100%%/n.e%j") == (made.stdout, made.stderr)
    assert "t.%a" == array.stdout


def test_the_plan_shows_what_flags_became() -> None:
    """Nothing of it is handed over a second time."""
    shown = plan(native={"drmaa": {"nativeSpecification": "-V -N mine -q all.q"}})

    assert () == shown.refused()
    assert "drmaa_native_specification=-r n -q all.q" in shown.command
    assert "drmaa_job_name=mine+KEY" in shown.command


# --- the template ------------------------------------------------------------------------------

TEMPLATES: dict[str, tuple[Any, dict[str, Any]]] = {
    "jobCategory": ("heavy", {"drmaa_job_category": "heavy"}),
    "email": (["a@b.c"], {"drmaa_v_email": ["a@b.c"], "drmaa_block_email": "0"}),
    "blockEmail": (True, {"drmaa_block_email": "1"}),
    "jobSubmissionState": ("drmaa_hold", {"drmaa_js_state": "drmaa_hold"}),
    "startTime": ("2040/01/01 10:00 +00:00", {"drmaa_start_time": "2040/01/01 10:00:00 +00:00"}),
}
MOVED: dict[str, tuple[Any, dict[str, Any]]] = {
    "workingDirectory": ("$drmaa_hd_ph$/in/$x", {"cwd": "HOME/in/$x"}),
    "inputPath": (":$drmaa_wd_ph$/a", {"stdin": "/run/a"}),
    "outputPath": (":$drmaa_hd_ph$/50%.$drmaa_incr_ph$", {"stdout": "HOME/50%%.%a"}),
    "errorPath": (":/e", {"stderr": "/e"}),
    "joinFiles": (True, {"join_output": True}),
    "jobName": ("mine", {"name": "mine"}),
    "hardRunDurationLimit": ("1:0", {"resources": Resources(wall_time=60)}),
}


def template(native: dict[str, Any]) -> dict[str, Any]:
    made = spec(native={"drmaa": native})
    return _template.template("drmaa", made, None, SCRIPT, ("-r", "n"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_attributes_of_the_template(name: str) -> None:
    """DRMAA's own attributes are handed over as such."""
    value, wanted = TEMPLATES[name]
    made = template({name: value})

    assert wanted == {key: made[key] for key in wanted}
    assert made != template({})


@pytest.mark.parametrize("name", MOVED)
def test_attributes_that_are_fields(name: str) -> None:
    """Paths are the wrapper's to open, so that placeholders mean the same everywhere."""
    value, wanted = MOVED[name]
    home = _template.home_directory()
    before = spec(cwd="/run", native={"drmaa": {name: value}})
    after = _template.as_specified("drmaa", before)

    for field, text in wanted.items():
        told = text.replace("HOME", home) if isinstance(text, str) else text
        assert told == getattr(after, field)
        assert before == evolve(after, **{field: getattr(before, field)})


def test_what_runs_is_a_shell_that_becomes_the_wrapper() -> None:
    """No word of the user's is in it: Grid Engine cuts arguments at newlines."""
    made = template({})

    assert "/bin/sh" == made["drmaa_remote_command"]
    assert ["-c", SCRIPT.decode().splitlines()[1]] == made["drmaa_v_argv"]
    assert "/" == made["drmaa_wd"]
    assert "true+KEY" == made["drmaa_job_name"]
    assert "-r n" == made["drmaa_native_specification"]


def test_a_path_on_another_host_is_refused() -> None:
    """Files are read and written where the job runs."""
    native = {"outputPath": "elsewhere:/out"}
    plan = GridEngine("drmaa", CONFIG).plan(spec(native={"drmaa": native}), SCRIPT)

    assert ["native"] == [entry.field for entry in plan.refused()]
    assert "another host" in plan.refused()[0].note


@pytest.mark.parametrize(
    ("label", "name"),
    [("train", "train+KEY"), ("7 up", "_7_up+KEY"), ("a/b:c@d+e*?", "a_b_c_d_e__+KEY"),
     ("é\n", "__+KEY"), ("", "_+KEY"), ("x" * 300, "x" * 100 + "+KEY")],
)  # fmt: skip
def test_names(label: str, name: str) -> None:
    """A blank in a name makes the library fail with nothing said."""
    assert name == job_name(label, "KEY")
    assert "KEY" == key_of(name)
    assert "" == key_of("somebody's")


# --- plans -------------------------------------------------------------------------------------


def plan(**fields: Any) -> Plan:
    return GridEngine("drmaa", CONFIG).plan(spec(**fields), SCRIPT)


def refused(**fields: Any) -> list[str]:
    return [entry.field for entry in plan(**fields).refused()]


def test_the_plan_shows_the_template() -> None:
    """What would be handed over, to be read before it is."""
    shown = plan(resources=Resources(cpus=2, queue="all.q"), array=None)

    assert "drmaa_native_specification=-q all.q -pe smp 2 -r n" in shown.command
    assert ("drmaa", "runJob") == shown.command[:2]
    assert SCRIPT.decode() == shown.script
    assert {"slots": "2"} == dict(shown.totals)


def test_fields_that_are_refused_or_emulated() -> None:
    """Nothing is ignored silently."""
    assert ["container"] == refused(container="image")
    assert ["launcher"] == refused(launcher="srun")
    assert ["resources.nodes"] == refused(resources=Resources(nodes=2))
    assert [] == refused(resources=Resources(nodes=2), native={"drmaa": {"pe": "mpi"}})
    assert ["resources.disk"] == refused(resources=Resources(disk=1))
    assert ["resources.gpus"] == refused(resources=Resources(gpus=1, cpus=2))
    assert ["native"] == refused(native={"drmaa": {"nosuch": 1}})
    notes = [row for row in plan(resources=Resources(memory=1)).fields if row.note]
    assert {Support.EMULATED} == {row.support for row in notes}
    assert set(_plan.EMULATED) >= {row.field for row in notes}


def test_plain_drmaa_has_no_words_for_resources() -> None:
    """What no attribute says cannot be asked for."""
    scheduler = PlainDrmaa("drmaa", DrmaaConfig(dialect=PLAIN))
    made: JobSpec = spec(
        resources=Resources(memory=1, wall_time=5),
        native={"drmaa": {"nativeSpecification": "anything 'at all'", "transferFiles": "io",
                          "softRunDurationLimit": 5}},
    )  # fmt: skip
    shown = scheduler.plan(made, SCRIPT)

    assert ["resources.memory"] == [entry.field for entry in shown.refused()]
    assert "drmaa_native_specification=anything 'at all'" in shown.command
    assert "drmaa_transfer_files=io" in shown.command
    assert "drmaa_duration_slimit=5" in shown.command


def test_plain_drmaa_hands_on_the_words_of_a_program() -> None:
    """They are that system's own: nobody here knows them."""
    scheduler = PlainDrmaa("drmaa", DrmaaConfig(dialect=PLAIN))

    def shown(**native: Any) -> Plan:
        return scheduler.plan(spec(native={"drmaa": native}), SCRIPT)

    made = shown(options=["-p", "long", "--comment=a b", "-cwd"], nativeSpecification="-n 4")
    assert () == made.refused()
    assert "drmaa_native_specification=-p long '--comment=a b' -cwd -n 4" in made.command
    assert ["native"] == [row.field for row in shown(options=["a\nb"]).refused()]
    assert ["native"] == [row.field for row in shown(pe="smp").refused()]


def test_the_question_to_the_worker() -> None:
    """An array is one question, and its answer one number."""
    command = _template.submit_command({"drmaa_wd": "/"}, 3, 5.0)

    assert ("drmaa", "runBulkJobs") == command.argv
    assert {"do": "submit", "template": {"drmaa_wd": "/"}, "count": 3} == json.loads(command.input)
    assert ("drmaa", "runJob") == _template.submit_command({}, 1, 5.0).argv


def test_a_store_whose_path_cannot_be_said_is_refused() -> None:
    """Grid Engine would cut the line, and nothing would run."""
    scheduler = GridEngine("drmaa", CONFIG)
    commands: list[Command]
    told, commands = play(scheduler.submit(None, b"#!/bin/sh\nexec 'a\nb'\n"))  # type: ignore[arg-type]

    assert "newline" in told.message
    assert [] == commands
    assert Reply().returncode == 0
