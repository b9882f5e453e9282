"""What is told at the end of a test run."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How much was simulated, over all workers."""
    sends = sum(
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "simulated sends"
    )
    if sends:
        terminalreporter.write_line(f"{sends} simulated sends")
