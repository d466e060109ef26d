"""The setting ``database`` takes an address of PostgreSQL, and holds no password."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SettingsError
from harness.project.database import DATABASE_PASSWORD, database_password
from harness.project.run_group import pipeline_group
from harness.project.settings import Settings, read_settings
from harness.safe.secrets import scrub

ADDRESS = "postgresql+psycopg://me@db.example:5433/runs"


def test_without_it_runs_are_in_a_file(tmp_path: Path) -> None:
    """The place is the one of every earlier version."""
    for settings in (Settings(root=tmp_path), read_settings(tmp_path, environment={"HARNESS_DATABASE": ""})):
        assert settings.database == str(tmp_path / "reports" / "harness.sqlite")
        assert not settings.database_is_shared


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://me:s3cret-word@db.example:5433/runs",
        "postgresql+psycopg://me@db.example:5433/runs?password=s3cret-word",
    ],
    ids=["user", "query"],
)
def test_a_password_of_the_environment_is_kept_apart(tmp_path: Path, address: str) -> None:
    """The settings are recorded and shown; the password is only given to the driver."""
    environment = {"HARNESS_DATABASE": address}
    assert read_settings(tmp_path, environment=environment).database == ADDRESS
    assert database_password(ADDRESS, environment) == "s3cret-word"
    assert database_password("postgresql+psycopg://me@elsewhere/runs", environment) == ""
    assert "s3cret" not in scrub("the server said s3cret-word")


def test_a_variable_of_its_own_wins(tmp_path: Path) -> None:
    """It is known to the settings, so it is no mistyped name."""
    environment = {"HARNESS_DATABASE": ADDRESS, DATABASE_PASSWORD: "another-word"}
    assert read_settings(tmp_path, environment=environment).database_is_shared
    assert database_password(ADDRESS, environment) == "another-word"


def test_a_password_in_the_project_file_is_refused(tmp_path: Path) -> None:
    """The message does not repeat it."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.harness]\ndatabase = "postgresql+psycopg://me:s3cret-word@db.example/runs"\n'
    )
    with pytest.raises(SettingsError, match=f"database has a password.*{DATABASE_PASSWORD}") as caught:
        read_settings(tmp_path, environment={})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["mysql://a@b/c", "runs.sqlite", "postgresql://", "postgresql+psycopg://me@host", "postgresql://a@b:port/c"],
    ids=["scheme", "path", "nothing", "no name", "port"],
)
def test_another_address_is_refused(tmp_path: Path, address: str) -> None:
    """What is supported stands in the message."""
    with pytest.raises(SettingsError, match=r"database: .*postgresql\+psycopg://USER@HOST:PORT/NAME"):
        read_settings(tmp_path, environment={"HARNESS_DATABASE": address})


@pytest.mark.parametrize("group", ["two words", "-x", "a" * 101, "x;y"], ids=["space", "dash", "long", "sign"])
def test_a_group_has_a_plain_name(tmp_path: Path, group: str) -> None:
    """It stands in commands and messages."""
    with pytest.raises(SettingsError, match="run_group"):
        read_settings(tmp_path, {"run_group": group}, {})


@pytest.mark.parametrize(
    ("environment", "group"),
    [
        ({"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2"}, "github-7"),
        ({"CI_PIPELINE_ID": "8"}, "gitlab-8"),
        ({"CI_PIPELINE_ID": "8 9"}, ""),
        ({}, ""),
    ],
    ids=["github", "gitlab", "no name", "none"],
)
def test_a_pipeline_is_a_group(environment: dict[str, str], group: str) -> None:
    """An attempt is no part of it: a job that runs again takes its earlier place."""
    assert pipeline_group(environment) == group
