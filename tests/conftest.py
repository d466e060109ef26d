"""What tests of every kind share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.postgres import Server, postgres_server

# Time is no promise of a unit test: a busy machine is slow.
hypothesis.settings.register_profile("harness", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("harness")

pytest_plugins = ["pytester"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell without job control starts background commands so, and every child of the tests would be deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """Folder of the real embedded model, converted on first need."""
    from harness.models.embedded import embedded_model as convert

    return convert("smollm2-135m-instruct")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server; the test is skipped where none is installed."""
    with postgres_server() as server:
        yield server
