from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutation.__main__ import TARGETS
from tests.mutation.equivalent import listed, misfits
from tests.mutation.mutants import mutants_of


def changes(line: str) -> list[str]:
    found = mutants_of("a.py", f"def f(a, b):\n    {line}\n")
    for mutant in found:
        assert (mutant.function, mutant.line, mutant.before) == ("f", 2, line)
        compile(mutant.source, "a.py", "exec")
    return [mutant.after for mutant in found]


@pytest.mark.parametrize(
    ("line", "mistakes"),
    [
        (
            "if a < b: f()",
            "if False: f()|if True: f()|if a <= b: f()|if a >= b: f()|if a < b: pass",
        ),
        ("a is not b", "pass|a is b"),
        ("a(b) + 1", "pass|a(b) - 1|a(b) + 0|a(b) + 2"),
        ("return (a) * b", "return None|return (a) // b"),
        ("a = min(a, b)", "pass|a = max(a, b)|a = (a)|a = (b)"),
        (
            "return a and not b",
            "return None|return not b|return a|return a or not b|return a and b",
        ),
        (
            "bisect_left(a[b:])",
            "pass|bisect_right(a[b:])|bisect_left(a[:])|bisect_left(a[(b) + 1:])",
        ),
        ("a -= -1", "pass|a += -1|a = -1|a -= 1|a -= -0|a -= -2"),
        ("f(a, b=(True))", "pass|f(a)|f(a, b=(False))"),
        ("f(a=(b), c=a,)", "pass|f(c=a,)|f(a=(b),)"),
        ("f(a=b,)", "pass|f()"),
        ("f({1: a, b: (c)})", "pass|f({b: (c)})|f({1: a})|f({0: a, b: (c)})|f({2: a, b: (c)})"),
        ("return ((a)) or b", "return None|return b|return ((a))|return ((a)) and b"),
        ("for a in (b, c): f", "for a in (c): f|for a in (b): f|for a in (b, c): pass"),
        ("while a: break", "while False: break|while a: continue|while a: pass"),
        ('return f"{a + 1}"', 'return None|return ""'),
    ],
)
def test_each_small_mistake_is_made_in_turn(line: str, mistakes: str) -> None:
    assert sorted(changes(line)) == sorted(mistakes.split("|"))


def test_what_nobody_can_notice_is_left_alone() -> None:
    source = '''
"""A file."""
import a
@b(1)
class C(D[1]):
    __slots__ = ("e",)
    """Words."""
    f: Literal[1]
    def g(self): return None
'''
    assert mutants_of("a.py", source) == []


SHOP = """
def up_to_three(number):
    while number < 3:
        number += 1
    return number
"""
TRIAL = """
import sys
from pathlib import Path
from tests.mutation.run import Target, verdicts
sys.path.insert(0, sys.argv[1])
target = Target(
    module="shop", path=Path(sys.argv[1], "shop.py"), tests=(Path(sys.argv[1], "test_shop.py"),)
)
mutants = [mutant for mutant in target.mutants if mutant.after in sys.argv[2:]]
for mutant, verdict in verdicts(target, mutants):
    print(f"{mutant.after}: {verdict.value}")
"""


def test_a_mistake_is_noticed_or_not_and_one_that_never_ends_is_ended(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(
        "from shop import up_to_three\ndef test(): assert up_to_three(1) == 3\n"
    )
    mistakes = ["number += 2", "number += 0", "return None"]
    done = subprocess.run(
        [sys.executable, "-c", TRIAL, tmp_path, *mistakes],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.splitlines()) == [
        "number += 0: timed out",
        "number += 2: survived",
        "return None: killed",
    ]


def test_each_entry_of_the_list_is_the_name_of_one_mutant() -> None:
    mutants = [mutant for target in TARGETS.values() for mutant in target.mutants]
    assert list(misfits(listed(), mutants)) == []
    assert {key[0] for key in listed()} <= {mutant.file for mutant in mutants}


def test_an_entry_that_names_no_mutant_or_two_is_told() -> None:
    (mutant,) = mutants_of("a.py", "def f():\n    return a\n")
    assert list(misfits([mutant.key], [mutant])) == []
    assert len(list(misfits([mutant.key], [mutant, replace(mutant, line=9)]))) == 1
    assert len(list(misfits([("a.py", "f", "return a", "return b")], [mutant]))) == 1
