"""Edits of Python source: comparisons, conditions, constants, arguments, and dropped statements."""

import ast
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from tests.mutants.change import Edit
from tests.mutants.sql_edits import sql_edits

_COMPARISONS = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_ARITHMETIC = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.LShift: ">>"}
_SYMBOLS = re.compile(r"<<|//|[-+*/%]")
_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_SQL = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE|EXISTS|CASE|AND|IS NULL)\b")
_UNDECIDING = ("_log", "metrics", "failpoints", "warnings")
"""Calls on these change no row: their statements and arguments are not mutated."""


def python_edits(source: bytes) -> Iterator[Edit]:
    """Yield every edit of a module, those of its SQL included."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    yield from _Finder(source, starts).edits(ast.parse(source))


class _Finder:
    def __init__(self, source: bytes, starts: list[int]) -> None:
        self._source = source
        self._starts = starts
        self._by_type: dict[type[ast.AST], Callable[[Any], Iterator[Edit]]] = {
            ast.Compare: self._comparison,
            ast.BoolOp: self._boolean,
            ast.UnaryOp: self._not,
            ast.If: self._condition,
            ast.IfExp: self._condition,
            ast.comprehension: self._filter,
            ast.BinOp: self._arithmetic,
            ast.Constant: self._constant,
            ast.Call: self._call,
            ast.Expr: self._statement,
            ast.AugAssign: self._statement,
            ast.Raise: self._statement,
        }

    def edits(self, node: ast.AST) -> Iterator[Edit]:
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str)
        ):
            yield from self._text(node)
            return
        for kind, edits in self._by_type.items():
            if isinstance(node, kind):
                yield from edits(node)
        decorators = getattr(node, "decorator_list", [])
        for child in ast.iter_child_nodes(node):
            docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
            annotation = child in {getattr(node, "annotation", None), getattr(node, "returns", None)}
            if child not in decorators and not docstring and not annotation and not self._undeciding(child):
                yield from self.edits(child)

    def _comparison(self, node: ast.Compare) -> Iterator[Edit]:
        for operator, (before, after) in zip(node.ops, pairwise((node.left, *node.comparators)), strict=True):
            symbol = re.compile(r"[<>=!]=?|not in|is not|is|in")
            yield self._operator(before, after, symbol, _COMPARISONS[type(operator)], "comparison")

    def _boolean(self, node: ast.BoolOp) -> Iterator[Edit]:
        both = isinstance(node.op, ast.And)
        for before, after in pairwise(node.values):
            yield self._operator(
                before, after, re.compile(r"\b(and|or)\b"), "or" if both else "and", "and/or"
            )
        for value in node.values:
            yield self._replace(value, str(both), "condition dropped")

    def _not(self, node: ast.UnaryOp) -> Iterator[Edit]:
        if isinstance(node.op, ast.Not):
            yield self._replace(node, self._of(node.operand), "not dropped")

    def _condition(self, node: ast.If | ast.IfExp) -> Iterator[Edit]:
        yield self._replace(node.test, "True", "always")
        yield self._replace(node.test, "False", "never")

    def _filter(self, node: ast.comprehension) -> Iterator[Edit]:
        for test in node.ifs:
            yield self._replace(test, "True", "always")

    def _arithmetic(self, node: ast.BinOp) -> Iterator[Edit]:
        if type(node.op) in _ARITHMETIC:
            yield self._operator(node.left, node.right, _SYMBOLS, _ARITHMETIC[type(node.op)], "arithmetic")

    def _constant(self, node: ast.Constant) -> Iterator[Edit]:
        match node.value:
            case bool() as value:
                yield self._replace(node, str(not value), "constant")
            case int() | float() as value:
                yield self._replace(node, repr(value + 1), "one more")
                if value:
                    yield self._replace(node, repr(value - 1), "one less")

    def _statement(self, node: ast.stmt) -> Iterator[Edit]:
        if self._of(node).startswith("raise AssertionError"):
            return  # it says that this place cannot be reached
        if not isinstance(node, ast.Expr) or isinstance(node.value, ast.Call):
            yield self._replace(node, "pass", "statement dropped")

    def _call(self, node: ast.Call) -> Iterator[Edit]:
        if isinstance(node.func, ast.Name) and node.func.id in _SWAPPED:
            yield self._replace(node.func, _SWAPPED[node.func.id], "function swapped")
        for keyword in node.keywords:
            if keyword.arg and len(node.args) + len(node.keywords) > 1:
                start, end = self._span(keyword)
                comma = re.compile(rb"\s*,?").match(self._source, end)
                yield Edit(start, comma.end() if comma else end, "", "argument dropped")

    def _text(self, node: ast.AST) -> Iterator[Edit]:
        start, end = self._span(node)
        text = self._source[start:end].decode()
        if _SQL.search(text):
            for edit in sql_edits(text):
                before = len(text[: edit.start].encode())
                length = len(text[edit.start : edit.end].encode())
                yield Edit(start + before, start + before + length, edit.new, edit.kind)

    def _undeciding(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Expr) and self._of(node).startswith(_UNDECIDING)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        return (
            self._starts[node.lineno - 1] + node.col_offset,  # type: ignore[attr-defined] # of every node asked for
            self._starts[node.end_lineno - 1] + node.end_col_offset,  # type: ignore[attr-defined] # the same
        )

    def _operator(self, left: ast.AST, right: ast.AST, symbol: re.Pattern[str], new: str, kind: str) -> Edit:
        start, end = self._span(left)[1], self._span(right)[0]
        return Edit(start, end, symbol.sub(new, self._source[start:end].decode(), count=1), kind)

    def _of(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _replace(self, node: ast.AST, new: str, kind: str) -> Edit:
        return Edit(*self._span(node), new, kind)
