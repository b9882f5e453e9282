"""The bench runs from end to end and prints what it promises; its figures are not looked at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mailplaned.store import database
from tests.bench.__main__ import AGAINST_POSTFIX, ALONE
from tests.bench.figures import GOALS
from tests.bench.ours import check_durable
from tests.bench.processes import Unfit

_ROOT = Path(__file__).parents[2]
_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin"
_POSTFIX = os.getuid() == 0 and all(
    shutil.which(name, path=_PATH) for name in ("postfix", "smtp-sink", "strace")
)
_SUPPORTING_ONLY = {"ledger_week"}


@pytest.mark.slow
@pytest.mark.xdist_group("bench")
@pytest.mark.parametrize(
    "group",
    [
        pytest.param(
            AGAINST_POSTFIX,
            id="against_postfix",
            marks=pytest.mark.skipif(not _POSTFIX, reason="needs root, postfix and strace"),
        ),
        pytest.param(ALONE, id="alone"),
    ],
)
def test_the_bench_prints_one_json_object_with_the_goals_keys(
    group: dict[object, tuple[str, ...]],
) -> None:
    keys = {key for found in group.values() for key in found}
    command = [sys.executable, "-m", "tests.bench", "--quick"]
    command += [word for key in sorted(keys) for word in ("--only", key)]
    ran = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout.splitlines()[-1])
    supporting = figures.pop("supporting")
    assert supporting["machine"]["void"]
    assert set(figures) == keys - _SUPPORTING_ONLY
    assert all(value > 0 for value in figures.values())


def test_every_goal_is_measured_by_something() -> None:
    keys = [key for found in (*AGAINST_POSTFIX.values(), *ALONE.values()) for key in found]
    assert sorted(keys) == sorted([*GOALS, *_SUPPORTING_ONLY])


def test_a_store_that_syncs_less_than_full_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_durable(tmp_path)
    weaker = database._WRITER.replace("synchronous = FULL", "synchronous = NORMAL")
    monkeypatch.setattr(database, "_WRITER", weaker)
    with pytest.raises(Unfit, match="less durable"):
        check_durable(tmp_path)
