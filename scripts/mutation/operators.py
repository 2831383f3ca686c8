"""Find the mutants of a module: every place where one of the operators below applies.

Not mutated is what no test should judge: docstrings, annotations, decorators, base classes, imports,
`if TYPE_CHECKING`, assertions, log calls and the texts of errors. f-strings are left out because Python 3.11
does not say where their parts stand.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from mutation.mutant import Mutant

if TYPE_CHECKING:
    from collections.abc import Sequence

COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}
OPPOSITES = {"min": "max", "max": "min", "any": "all", "all": "any"}
KEY = re.compile(r"[\w./:-]*")
"""A string that a program reads, such as a key, a path or a header; sentences are for people."""
LOG_METHODS = {"trace", "debug", "info", "warning", "error", "critical", "exception", "log"}
TYPE_MAKERS = {"TypeVar", "ParamSpec", "NewType", "cast"}
UNOBSERVABLE = {"daemon", "slots"}
"""Keyword arguments that change nothing that a test could see."""


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """In the order of the text; `path` is only passed on."""
    finder = Finder(path, source)
    finder.visit(ast.parse(source))
    return sorted(finder.found, key=lambda mutant: (mutant.line, mutant.number))


class Finder(ast.NodeVisitor):
    """Walks a module's syntax tree; `found` collects its mutants."""

    def __init__(self, path: str, source: bytes) -> None:
        self._path, self._source = path, source
        self._line_starts = [0, *accumulate(len(line) for line in source.splitlines(keepends=True))]
        self._lines = range(0)
        self._on_line: Counter[int] = Counter()
        self.found: list[Mutant] = []

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self._lines = _own_lines(node)
        super().visit(node)

    # -- statements -----------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_all([*node.args.defaults, *(each for each in node.args.kw_defaults if each)])
        self._visit_all(node.body)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all(node.body)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) or _is_log_call(node.value):
            return
        if isinstance(node.value, ast.Call):
            self._remove(node)
        self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if _is_mere_name(node) or ast.unparse(node.targets[0]).startswith("__"):
            return
        if any(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._remove(node)
        self.visit(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None and "TypeAlias" not in ast.unparse(node.annotation):
            self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) in ARITHMETIC:
            old, new = ARITHMETIC[type(node.op)]
            self._swap_between(node.target, node.value, f"{old}=", f"{new}=")
        self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._remove(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._remove(node)

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break")

    def visit_Assert(self, node: ast.Assert) -> None:
        pass

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self._negate(node.test)
            self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        if not isinstance(node.value, ast.Constant):
            self._replace(node.value, "None", what="returned value")
            if isinstance(node.value, ast.Compare | ast.BoolOp) or _is_negation(node.value):
                self._replace(node.value, "True", what="returned value")
        self.visit(node.value)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            call = item.context_expr
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "suppress":
                self._replace(call, "suppress()")
            else:
                self.visit(call)
        self._visit_all(node.body)

    def visit_match_case(self, node: ast.match_case) -> None:
        self._lines = range(node.pattern.lineno, node.body[0].lineno)
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        first, last = node.body[0], node.body[-1]
        if not isinstance(last, ast.Raise):
            self._lines = range(first.lineno, first.lineno + 1)
            self._add(
                first, self._start(first), self._end(last), "raise", "error is raised again, not handled"
            )
        self._visit_all(node.body)

    # -- expressions ----------------------------------------------------------------------------------

    def visit_Compare(self, node: ast.Compare) -> None:
        for operator, (left, right) in zip(node.ops, pairwise((node.left, *node.comparators)), strict=True):
            self._swap_between(left, right, *COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in pairwise(node.values):
            self._swap_between(left, right, *words)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if _is_negation(node):
            start = self._start(node)
            self._add(node, start, start + len("not "), "", "`not` is removed")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in ARITHMETIC and not (_is_text(node.left) or _is_text(node.right)):
            self._swap_between(node.left, node.right, *ARITHMETIC[type(node.op)])
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._negate(test)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        if name in TYPE_MAKERS or _is_log_call(node):
            return
        if name == "isinstance":
            self.visit(node.args[0])
            return
        if name in OPPOSITES:
            self._replace(node.func, OPPOSITES[name])
        else:
            self._swap_arguments(node)
        self.visit(node.func)
        self._visit_all(node.args)
        self._visit_all([each.value for each in node.keywords if each.arg not in UNOBSERVABLE])

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._replace(node, str(not value))
        elif isinstance(value, int):
            self._replace(node, repr(value + 1))
        elif isinstance(value, float):  # mostly durations, where one more makes no difference
            self._replace(node, repr(value * 2 or 1.0))
        elif isinstance(value, str) and KEY.fullmatch(value):
            self._replace(node, '"mutant"')

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    # -- making mutants -------------------------------------------------------------------------------

    def _visit_all(self, nodes: Sequence[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _remove(self, node: ast.stmt) -> None:
        self._replace(node, "pass", what="statement")

    def _negate(self, test: ast.expr) -> None:
        """Comparisons, `and`, `or` and `not` have mutants of their own."""
        if not (isinstance(test, ast.Compare | ast.BoolOp) or _is_negation(test)):
            self._replace(test, f"not ({self._text(test)})")

    def _swap_arguments(self, node: ast.Call) -> None:
        """Only the first two: others are rarely of one kind."""
        if len(node.args) < 2 or any(isinstance(argument, ast.Starred) for argument in node.args[:2]):
            return
        first, second = (self._text(argument) for argument in node.args[:2])
        if first != second:
            between = self._source[self._end(node.args[0]) : self._start(node.args[1])].decode()
            start, end = self._start(node.args[0]), self._end(node.args[1])
            self._add(
                node, start, end, f"{second}{between}{first}", f"arguments `{first}, {second}` are swapped"
            )

    def _swap_between(self, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        """Replace the operator `old`, which stands alone between the two operands."""
        start, end = self._end(left), self._start(right)
        pattern = re.compile(r"\s+".join(map(re.escape, old.split())))
        places = list(pattern.finditer(self._source[start:end].decode()))
        if len(places) == 1:
            at = places[0]
            self._add(right, start + at.start(), start + at.end(), new, f"`{old}` becomes `{new}`")

    def _replace(self, node: ast.expr | ast.stmt, new: str, *, what: str = "") -> None:
        shown = f"{what} `{_shortened(self._text(node))}`".strip()
        self._add(node, self._start(node), self._end(node), new, f"{shown} becomes `{_shortened(new)}`")

    def _add(self, node: ast.expr | ast.stmt, start: int, end: int, new: str, change: str) -> None:
        self._on_line[node.lineno] += 1
        number = self._on_line[node.lineno]
        self.found.append(Mutant(self._path, node.lineno, number, change, start, end, new, self._lines))

    def _text(self, node: ast.expr | ast.stmt) -> str:
        return self._source[self._start(node) : self._end(node)].decode()

    def _start(self, node: ast.expr | ast.stmt) -> int:
        return self._line_starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._line_starts[node.end_lineno - 1] + node.end_col_offset


def _own_lines(node: ast.stmt) -> range:
    """All lines of a simple statement; those before its body of a compound one."""
    body: list[ast.stmt] = getattr(node, "body", [])
    end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
    return range(node.lineno, max(end, node.lineno + 1))


def _is_log_call(node: ast.expr) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return node.func.attr in LOG_METHODS and "log" in ast.unparse(node.func.value).lower()


def _is_negation(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _is_mere_name(node: ast.Assign) -> bool:
    """A member of an enumeration whose value only repeats its name: `ON_HOLD = "on-hold"`."""
    target = ast.unparse(node.targets[0])
    return target.isupper() and ast.unparse(node.value) == repr(target.lower().replace("_", "-"))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"
