"""Settings are read once, the nearer word wins, and all mistakes are told together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.errors import SettingsError
from harness.project.settings import find_root, read_settings


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "adapters_manifest.toml").write_text("")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.harness]\nadapter = "v4.0"\nmax_repetition = 0.2\n[tool.harness.decoding]\nmax_tokens = 256\n'
    )
    return tmp_path


def test_project_file_is_read(project: Path) -> None:
    """[tool.harness] sets what it names and leaves the defaults for the rest."""
    settings = read_settings(project, environment={})
    assert (settings.adapter, settings.max_repetition, settings.decoding.max_tokens) == ("v4.0", 0.2, 256)
    assert settings.decoding.beam_width == 5


@pytest.mark.parametrize(
    ("environment", "flags", "expected"),
    [
        ({}, {}, 0.2),
        ({"HARNESS_MAX_REPETITION": "0.3"}, {}, 0.3),
        ({"HARNESS_MAX_REPETITION": "0.3"}, {"max_repetition": 0.4}, 0.4),
        ({}, {"max_repetition": None}, 0.2),
    ],
    ids=["file", "environment", "flag", "flag-not-given"],
)
def test_the_nearer_word_wins(
    project: Path, environment: dict[str, str], flags: dict[str, float | None], expected: float
) -> None:
    """Flags beat the environment, which beats the project file."""
    assert read_settings(project, flags, environment).max_repetition == expected


def test_all_mistakes_are_told_together(project: Path) -> None:
    """Nobody mends one line at a time."""
    (project / "pyproject.toml").write_text(
        "[tool.harness]\nmax_repetiton = 0.2\nmax_cutoff_rate = 7\nmax_regressions = 1.5\n"
        "[tool.harness.decoding]\nbeam_width = 0\n"
    )
    with pytest.raises(SettingsError) as caught:
        read_settings(project, environment={"HARNESS_MAX_REPEATER_RATE": "many"})
    for part in ("'max_repetiton'", "max_cutoff_rate = 7", "max_regressions = 1.5", "beam_width = 0", "'many'"):
        assert part in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, True], ids=str)
def test_a_limit_must_be_a_share(project: Path, value: float) -> None:
    """A limit that cannot limit anything is refused."""
    with pytest.raises(SettingsError, match="max_repetition"):
        read_settings(project, {"max_repetition": value}, {})


def test_root_is_where_the_manifest_is(project: Path) -> None:
    """Commands work from any folder below the project."""
    deep = project / "badcases" / "badcase1"
    deep.mkdir(parents=True)
    assert find_root(deep) == project


@pytest.mark.parametrize("name", ["cache", "merge"])
def test_a_switch_is_true_or_false(project: Path, name: str) -> None:
    """A word that only looks like one is refused."""
    (project / "pyproject.toml").write_text(f'[tool.harness]\n{name} = "yes"\n')
    with pytest.raises(SettingsError, match=rf"{name} = 'yes' \(expected true or false\)"):
        read_settings(project, environment={})


def test_the_gate_and_the_sampling_of_a_fix_can_be_set(project: Path) -> None:
    """Minimum of cases, strictness, significance level, and how a fix samples."""
    (project / "pyproject.toml").write_text(
        "[tool.harness]\ngate_min_cases = 20\ngate_strict = true\ngate_alpha = 0.01\n"
        "[tool.harness.sampling]\nanswers = 12\ntemperature = 1.0\n"
    )
    settings = read_settings(project, environment={"HARNESS_GATE_MIN_CASES": "30"})
    assert (settings.limits.min_cases, settings.limits.strict, settings.limits.alpha) == (30, True, 0.01)
    assert (settings.sampling.answers, settings.sampling.temperature, settings.sampling.keep) == (12, 1.0, 2)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param("gate_min_cases = 0", "gate_min_cases = 0 (expected a whole number >= 1)", id="min-cases"),
        pytest.param("gate_strict = 1", "gate_strict = 1 (expected true or false)", id="strict"),
        pytest.param("gate_alpha = 1.0", "gate_alpha = 1.0 (expected a number between 0 and 1)", id="alpha"),
        pytest.param("sampling = 3", "sampling must be a table", id="no-table"),
        pytest.param(
            "[tool.harness.sampling]\nanswers = 0", "answers = 0 (expected a whole number >= 1)", id="answers"
        ),
        pytest.param("[tool.harness.sampling]\nanswer = 1", "unknown 'answer'", id="unknown"),
    ],
)
def test_a_wrong_gate_or_sampling_setting_is_named(project: Path, text: str, part: str) -> None:
    """With its value and what is expected."""
    (project / "pyproject.toml").write_text(f"[tool.harness]\n{text}\n")
    with pytest.raises(SettingsError) as caught:
        read_settings(project, environment={})
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("line", "environment"),
    [('max_cutoff_rate = "5%"', {}), ("", {"HARNESS_MAX_CUTOFF_RATE": "5%"})],
    ids=["file", "environment"],
)
def test_a_share_may_be_written_in_percent(project: Path, line: str, environment: dict[str, str]) -> None:
    """``5%`` is 0.05 in the project's file and in the environment."""
    (project / "pyproject.toml").write_text(f"[tool.harness]\n{line}\n")
    assert read_settings(project, environment=environment).max_cutoff_rate == 0.05


def test_a_number_above_one_in_the_environment_is_answered_in_words(project: Path) -> None:
    """The message names both readings of a bare 5."""
    with pytest.raises(SettingsError, match=r"did you mean 0\.05 or 5%"):
        read_settings(project, environment={"HARNESS_MAX_REPETITION": "5"})


def test_tags_come_from_the_file_or_the_environment(project: Path) -> None:
    """A list in the file, a text with commas in the environment."""
    (project / "pyproject.toml").write_text('[tool.harness]\nrun_tags = ["nightly"]\n')
    assert read_settings(project, environment={}).run_tags == ("nightly",)
    assert read_settings(project, environment={"HARNESS_RUN_TAGS": "a100, weekly"}).run_tags == ("a100", "weekly")
    with pytest.raises(SettingsError, match="run_tags"):
        read_settings(project, {"run_tags": [7]}, {})


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('trackers = ["mlfow"]', "'mlfow' is unknown; known: jsonl, mlflow"),
        ('trackers = ["own:"]', "'own:' is unknown"),
        ("[tool.harness.tracker_options.mlfow]\nuri = 1", "tracker_options: 'mlfow'"),
        ("[tool.harness.tracker_options]\njsonl = 3", "tracker_options.jsonl must be a table"),
    ],
    ids=["unknown", "half", "options-of-unknown", "no-table"],
)
def test_a_misspelt_tracker_is_refused(project: Path, lines: str, says: str) -> None:
    """It would be missed only where someone looks for its runs."""
    (project / "pyproject.toml").write_text(f"[tool.harness]\n{lines}\n")
    with pytest.raises(SettingsError, match=re.escape(says)):
        read_settings(project, environment={})


def test_trackers_are_named_in_the_environment(project: Path) -> None:
    """With commas, like tags."""
    settings = read_settings(project, environment={"HARNESS_TRACKERS": "jsonl, own.module:Class"})
    assert settings.trackers == ("jsonl", "own.module:Class")


def test_an_address_of_ray_names_the_engine_and_its_settings_go_to_it(tmp_path: Path) -> None:
    """A cluster on the command line is meant to be used; another engine gets none of it."""
    environment = {"HARNESS_REPLICAS": "4", "HARNESS_RAY_ENGINE": "transformers"}
    settings = read_settings(tmp_path, {"ray_address": "auto"}, environment)
    assert settings.engine == "ray"
    assert settings.engine_options == {"ray_address": "auto", "ray_engine": "transformers", "replicas": 4}
    assert read_settings(tmp_path, {"engine": "vllm"}, environment).engine_options == {}
