"""Every small mistake that could be made in a source file, one at a time.

A mutant is the text of the file with one span replaced, so that what is shown is what ran. Left
alone are imports, annotations, base classes, decorators, docstrings, `__slots__`, the words of an
assertion, and what is inside an f-string.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
_COMPUTED: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
}
_SWAPPED = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "bisect_left": "bisect_right",
    "bisect_right": "bisect_left",
}

Edit = tuple[int, int, str]
"""Begin and end of a span in the source, in bytes, and what stands there instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A file with one mistake: `before` and `after` are the lines that differ, as one line each."""

    file: str
    function: str
    line: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it whatever line it is on."""
        return self.file, self.function, self.before, self.after

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Every mutant of a file."""
    text = source.encode()
    tree = ast.parse(source)
    found = []
    for begin, end, instead in sorted(set(_Edits(text).of(tree))):
        line = text.count(b"\n", 0, begin) + 1
        first = text.rfind(b"\n", 0, begin) + 1
        last = text.find(b"\n", end)
        found.append(
            Mutant(
                file=file,
                function=_function_at(tree, line),
                line=line,
                before=_one_line(text[first:last]),
                after=_one_line(text[first:begin] + instead.encode() + text[end:last]),
                source=(text[:begin] + instead.encode() + text[end:]).decode(),
            )
        )
    return found


def _function_at(tree: ast.Module, line: int) -> str:
    """The innermost function around a line; empty outside of all."""
    names = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return names[-1] if names else ""


def _one_line(text: bytes) -> str:
    return " ".join(text.decode().split())


class _Edits:
    def __init__(self, text: bytes) -> None:
        self._text = text
        self._lines = [0]
        for line in text.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def of(self, tree: ast.Module) -> Iterator[Edit]:
        for node, in_function in _walk(tree, in_function=False):
            if isinstance(node, ast.expr):
                yield from self._expression(node)
            elif isinstance(node, ast.stmt):
                yield from self._statement(node, in_function=in_function)
            elif isinstance(node, ast.comprehension):
                for condition in node.ifs:
                    yield from self._instead(condition, "True", "False")

    # --- statements -------------------------------------------------------------------------------

    def _statement(self, node: ast.stmt, *, in_function: bool) -> Iterator[Edit]:
        match node:
            case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
                yield from self._instead(value, "None")
            case ast.If():
                yield from self._instead(node.test, "True", "False")
            case ast.While():
                yield from self._instead(node.test, "False")
            case ast.Continue():
                yield from self._instead(node, "break", "pass")
            case ast.Break():
                yield from self._instead(node, "continue", "pass")
            case ast.For(iter=ast.Tuple() | ast.List() as display):
                yield from _without_each([*map(self._outer, display.elts)])
            case ast.AugAssign(op=ast.Add() | ast.Sub() as op):
                sign, other = _COMPUTED[type(op)]
                yield self._between(node.target, node.value, f"{sign}=", f"{other}=")
                yield self._between(node.target, node.value, f"{sign}=", "=")
        droppable = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.Assert, ast.Raise)
        if in_function and (isinstance(node, droppable) or _is_act(node)):
            yield from self._instead(node, "pass")

    # --- expressions ------------------------------------------------------------------------------

    def _expression(self, node: ast.expr) -> Iterator[Edit]:
        match node:
            case ast.Constant(value=value):
                yield from self._instead(node, *_other_constants(value))
            case ast.JoinedStr():
                yield from self._instead(node, '""')
            case ast.IfExp():
                yield from self._instead(node.test, "True", "False")
            case ast.Set():
                yield from _without_each([*map(self._outer, node.elts)])
            case ast.Dict():
                keys = [key for key in node.keys if key is not None]
                spans = zip(map(self._outer, keys), map(self._outer, node.values), strict=True)
                yield from _without_each([(key[0], value[1]) for key, value in spans])
            case ast.Subscript(slice=ast.Slice(lower=lower, upper=upper)):
                for bound, off in ((lower, "+ 1"), (upper, "- 1")):
                    if bound is not None:
                        yield from self._instead(bound, "", f"({self._text_of(bound)}) {off}")
            case ast.Call():
                yield from self._call(node)
            case _:
                yield from self._operation(node)

    def _operation(self, node: ast.expr) -> Iterator[Edit]:
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                for (left, right), op in zip(itertools.pairwise(sides), node.ops, strict=True):
                    sign, others = _COMPARED[type(op)]
                    for other in others:
                        yield self._between(left, right, sign, other)
            case ast.BinOp() if type(node.op) in _COMPUTED:
                sign, other = _COMPUTED[type(node.op)]
                yield self._between(node.left, node.right, sign, other)
            case ast.BoolOp():
                sign, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in itertools.pairwise(node.values):
                    yield self._between(left, right, sign, other)
                yield from _without_each([*map(self._outer, node.values)])
            case ast.UnaryOp(op=ast.Not() | ast.USub()):
                begin, _ = self._span(node)
                yield begin, begin + (3 if isinstance(node.op, ast.Not) else 1), ""

    def _call(self, node: ast.Call) -> Iterator[Edit]:
        if isinstance(node.func, ast.Name) and node.func.id in _SWAPPED:
            yield from self._instead(node.func, _SWAPPED[node.func.id])
        if isinstance(node.func, ast.Name) and node.func.id in {"min", "max"} and node.args[1:]:
            yield from self._instead(node, *(f"({self._text_of(arg)})" for arg in node.args))
        places = [self._outer(argument) for argument in node.args]
        places += [(self._span(kw)[0], self._outer(kw.value)[1]) for kw in node.keywords]
        if places[1:]:
            yield from [*_without_each(places)][len(node.args) :]
        elif node.keywords:
            yield places[0][0], self._span(node)[1] - 1, ""

    # --- spans ------------------------------------------------------------------------------------

    def _span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text_of(self, node: ast.expr) -> str:
        begin, end = self._span(node)
        return self._text[begin:end].decode()

    def _instead(self, node: ast.expr | ast.stmt, *others: str) -> Iterator[Edit]:
        begin, end = self._span(node)
        for other in others:
            yield begin, end, other

    def _between(self, left: ast.expr, right: ast.expr, sign: str, other: str) -> Edit:
        """The sign between two expressions; parentheses may stand there as well."""
        after = self._span(left)[1]
        at = self._text.index(sign.encode(), after, self._span(right)[0])
        return at, at + len(sign), other

    def _outer(self, node: ast.expr) -> tuple[int, int]:
        """The span of one of several expressions, with the parentheses around it."""
        begin, end = self._span(node)
        while True:
            before, after = self._text[:begin].rstrip(), self._text[end:].lstrip()
            if not (before.endswith(b"(") and after.startswith(b")")):
                return begin, end
            begin, end = len(before) - 1, len(self._text) - len(after) + 1


def _without_each(spans: list[tuple[int, int]]) -> Iterator[Edit]:
    """Each of two or more left out in turn, with what stands between it and its neighbour."""
    if len(spans) > 1:
        yield spans[0][0], spans[1][0], ""
    for (_, begin), (_, end) in itertools.pairwise(spans):
        yield begin, end, ""


def _walk(node: ast.AST, *, in_function: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Every node that may be mutated, and whether it is inside a function."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "bases", "msg"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _is_left_alone(child):
                continue
            yield child, in_function
            if not isinstance(child, ast.JoinedStr):
                inside = in_function or isinstance(child, ast.FunctionDef)
                yield from _walk(child, in_function=inside)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()):  # a docstring
            return True
        case ast.Assign(targets=[ast.Name(id="__slots__")]):
            return True
    return False


def _is_act(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)


def _other_constants(value: object) -> tuple[str, ...]:
    match value:
        case bool():
            return (str(not value),)
        case int() | float():
            return repr(value + 1), f"({value - 1!r})" if value < 1 else repr(value - 1)
        case str():
            return ('""',) if value else ('"x"',)
        case _:
            return ()
