"""Settings: where each came from, who wins, and what is refused."""

from pathlib import Path
from typing import Any

import platformdirs
import pytest

from drover.config import load
from drover.errors import ConfigError


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a user's folder of the test's own."""
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda *_, **__: str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_without_any_file_there_is_no_setting(project: Path) -> None:
    config = load(project, {})

    assert ({}, None, None, 7) == (
        config.settings,
        config.project,
        config.get("backend"),
        config.get("backend", 7),
    )


def test_the_later_wins_and_says_where_it_came_from(project: Path, user_folder: Path) -> None:
    """Who wonders why a setting does not work asks `config show --origin`."""
    (user_folder / "config.toml").write_text('backend = "u"\nhome = "/u"\n[engine]\nidle_s = 1')
    (project / "drover.toml").write_text('backend = "p"\nhome = "/p"')
    config = load(project, {"DROVER_BACKEND": "v"})

    assert {
        "backend": ("v", "DROVER_BACKEND"),
        "home": ("/p", str(project / "drover.toml")),
        "engine.idle_s": (1, str(user_folder / "config.toml")),
    } == {key: (setting.value, setting.origin) for key, setting in config.settings.items()}
    assert project == config.project


def test_a_relative_home_is_the_projects(project: Path, user_folder: Path) -> None:
    """Whatever folder of a project one stands in, it is the same store."""
    (project / "drover.toml").write_text('home = "store"')
    deep = project / "a"
    deep.mkdir()

    assert project / "store" == load(deep, {}).path("home")
    assert Path("here") == load(deep, {"DROVER_HOME": "here"}).path("home")
    (project / "drover.toml").write_text('home = "~/store"')
    assert Path.home() / "store" == load(deep, {}).path("home")
    assert load(user_folder, {}).path("home") is None


def test_a_working_directory_that_is_gone_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system says "No such file or directory", and not which."""
    monkeypatch.chdir(project)
    project.rmdir()

    with pytest.raises(ConfigError, match="the working directory: was deleted"):
        load(None, {})


def test_the_projects_file_is_looked_for_upwards(project: Path) -> None:
    (project / "drover.toml").write_text('backend = "p"')
    deep = project / "a" / "b"
    deep.mkdir(parents=True)

    assert ("p", project) == (load(deep, {}).get("backend"), load(deep, {}).project)


def test_the_nearer_project_wins(project: Path) -> None:
    (project / "drover.toml").write_text('backend = "far"')
    (project / "a").mkdir()
    (project / "a" / "drover.toml").write_text('backend = "near"')

    assert "near" == load(project / "a", {}).get("backend")


def test_a_table_is_nested(project: Path) -> None:
    (project / "drover.toml").write_text(
        '[backends.cluster]\nplugin = "slurm"\n[backends.cluster.partition]\nfast = "f"\nslow = "s"'
    )
    config = load(project, {"DROVER_BACKENDS__CLUSTER__PARTITION__FAST": "x"})

    assert {"cluster": {"plugin": "slurm", "partition": {"fast": "x", "slow": "s"}}} == (
        config.table("backends")
    )
    assert {} == config.table("back")
    assert {"fast": "x", "slow": "s"} == config.table("backends.cluster.partition")


def test_a_name_with_a_dot_in_quotes_is_one_name(project: Path) -> None:
    (project / "drover.toml").write_text('[backends."my.cluster"]\nplugin = "slurm"')

    with pytest.raises(ConfigError, match=r"my\.cluster"):
        load(project, {})


def test_an_empty_table_is_there(project: Path) -> None:
    """`[backends.second]` alone means: another instance of that plugin."""
    (project / "drover.toml").write_text("[backends.second]")

    assert {"second": {}} == load(project, {}).table("backends")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3), ("2.5", 2.5), ("true", True), ('["a", "b"]', ["a", "b"]), ("local", "local"),
        ('"quoted"', "quoted"), ("", ""), ("a = b", "a = b"), ("2026-11-20x", "2026-11-20x"),
        ("1\nother = 2", "1\nother = 2"),
    ],
)  # fmt: skip
def test_a_variable_is_read_as_toml_where_it_is(project: Path, text: str, expected: Any) -> None:
    value = load(project, {"DROVER_BACKENDS__B__OPTION": text}).get("backends.b.option")

    assert (expected, type(expected)) == (value, type(value))


@pytest.mark.parametrize(
    "name", ["DROVER_JOB_ID", "DROVER_TOKEN", "DROVER_ARRAY_INDEX", "DROVER_BOOT_ID", "PATH"]
)
def test_what_jobs_are_told_is_no_setting(project: Path, name: str) -> None:
    """A job that submits jobs runs with these variables: they must not break it."""
    assert {} == load(project, {name: "x"}).settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bakend = 1", ["'bakend' is not known; did you mean 'backend'?", "backend, backends"]),
        ("[engine]\nidle = 1", ["not known; did you mean 'idle_s'?", "[engine] are: idle_s"]),
        ("engine = 1", ["'engine' is not known"]),
        ("backend = ", ["cannot be read"]),
        ("[backends]\nlocal = 3", ["backends.local", "table"]),
        ("backends = 3", ["backends", "table"]),
        ("backend = 3", ["backend", "text"]),
        ("home = []", ["home", "text"]),
        ('[engine]\nidle_s = "soon"', ["engine.idle_s", "number"]),
        ("[engine]\nidle_s = -1", ["engine.idle_s", "number"]),
        ("[engine]\nidle_s = true", ["engine.idle_s", "number"]),
        ("[plugins]\ndisabled = 'x'", ["plugins.disabled", "list"]),
        ("[backends.b]\nplugin = 3", ["backends.b.plugin", "text"]),
        ("[drmaa]\ncategory = 1", ["not known; did you mean 'categories'?", "[drmaa] are:"]),
        ("[drmaa]\ncategories = 1", ["drmaa.categories", "table"]),
        ("[drmaa.categories]\nlong = 1", ["drmaa.categories.long", "table"]),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    project: Path, text: str, words: list[str]
) -> None:
    """A setting that is passed over in silence is one that the user believes in."""
    path = project / "drover.toml"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(project, {})

    assert str(path) == caught.value.origin
    assert [] == [word for word in words if word not in str(caught.value)], caught.value


def test_a_bad_variable_is_refused_by_its_name(project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(project, {"DROVER_BAKEND": "x"})

    assert "DROVER_BAKEND" == caught.value.origin


def test_a_file_that_is_no_text_is_refused(project: Path) -> None:
    (project / "drover.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match="cannot be read"):
        load(project, {})


def test_a_folder_in_the_place_of_the_file_is_passed_over(project: Path) -> None:
    (project / "drover.toml").mkdir()

    assert {} == load(project, {}).settings


def test_a_folder_whose_name_is_a_number_is_a_folder(project: Path) -> None:
    config = load(project, {"DROVER_HOME": "2026", "DROVER_BACKEND": "true"})

    assert ("2026", "true") == (config.get("home"), config.get("backend"))
