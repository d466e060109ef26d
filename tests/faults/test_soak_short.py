"""A few tries of each campaign of ``make soak``, so that the campaigns themselves stay able to run."""

from __future__ import annotations

import tests.support.preload  # noqa: F401
from tests.soak.concurrency import concurrency
from tests.soak.corruption import corruption
from tests.soak.disk import disk
from tests.soak.kills import kills
from tests.soak.record import Campaign

SEED = 16


def short(name: str) -> Campaign:
    return Campaign(name, SEED, show=False)


def test_killed_writers_leave_old_or_new_files_and_can_be_called_again() -> None:
    """Registrations and a server, each killed at a random moment."""
    campaign = short("kills")
    for kind, count in (("manifest", 4), ("serve", 2)):
        kills(campaign, count, kind)
    result = campaign.result()
    assert result.total >= 4
    assert result.violations == ()


def test_writers_at_once_lose_nothing_and_are_not_refused() -> None:
    """The manifest and the database, under load."""
    campaign = short("concurrency")
    for kind in ("manifest", "sqlite"):
        concurrency(campaign, 40, kind, writers=4)
    result = campaign.result()
    assert result.total == 80
    assert result.violations == ()


def test_a_full_disk_is_an_error_with_a_remedy() -> None:
    """Fourteen commands, and the same again once the fault is gone."""
    campaign = short("disk")
    disk(campaign, 56, "full")
    result = campaign.result()
    assert result.total == 14 or result.skipped
    assert result.violations == ()


def test_damaged_state_files_are_errors_of_one_line_or_made_again() -> None:
    """Every kind of file that the harness writes."""
    campaign = short("corruption")
    corruption(campaign, 31, processes=1)
    result = campaign.result()
    assert result.total >= 31
    assert result.violations == ()
