"""What most tests of real processes start with: a sink, a daemon, a folder with a short name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.process_daemon import Daemon, daemon, short_folder
from tests.fakes.sink_process import Sink, sink


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
def the_sink(folder: Path) -> Iterator[Sink]:
    with sink(folder / "sink") as running:
        yield running


@pytest.fixture
def the_daemon(folder: Path) -> Iterator[Daemon]:
    """Not started: the test writes its book first."""
    with daemon(folder) as made:
        yield made
