"""Small faults in a module's source: each mutant is the text of the module with one expression or statement changed.

The operators are those of mutmut and cosmic-ray: comparisons at and beyond their boundary, `and` and `or`, signs,
arithmetic, constants, `min` and `max`, `any` and `all`, dropped conditions and dropped calls. Properties and tables at
the top of a module are mutated too, which mutmut 3 does not do; most of what decides a verdict here is one of them.

Not mutated: docstrings, annotations, decorators, `__all__`, f-strings, and texts for people: arguments of `tr` and
strings with a space.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants"]

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A module's text with one change."""

    line: int
    """Of the change, from 1."""
    before: str
    """The changed lines, without what surrounds them."""
    after: str
    source: str

    def diff(self, original: str, path: str) -> str:
        """The change as a unified diff with a line of context."""
        lines = difflib.unified_diff(original.splitlines(), self.source.splitlines(), path, path, n=1, lineterm="")
        return "\n".join(lines)


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    lines = source.encode().splitlines(keepends=True)
    found: dict[str, Mutant] = {}
    for node, text in _changes(ast.parse(source)):
        mutant = _replaced(lines, node, text)
        if mutant.source != source:
            found.setdefault(mutant.source, mutant)
    return sorted(found.values(), key=lambda mutant: mutant.line)


def _replaced(lines: list[bytes], node: ast.expr | ast.stmt, text: str) -> Mutant:
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    head, tail = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    changed = head + text.encode() + tail
    whole = b"".join([*lines[:first], changed, *lines[last + 1 :]])
    before = b"".join(lines[first : last + 1])
    return Mutant(
        line=node.lineno,
        before=" ".join(before.decode().split()),
        after=" ".join(changed.decode().split()),
        source=whole.decode(),
    )


def _changes(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """What is replaced, and the text in its place."""
    for node in _mutable(tree):
        for old, new in _mutations(node):
            text = ast.unparse(new)
            yield old, text if isinstance(new, (ast.Constant, ast.Name, ast.Call, ast.stmt)) else f"({text})"


def _mutable(tree: ast.AST) -> Iterator[ast.AST]:
    """Expressions, statements and comprehensions that may be changed."""
    for node in _parts(tree):
        if isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom)) or _is_docstring(node) or _is_all(node):
            continue
        yield node
        yield from _mutable(node)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_all(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"


def _parts(node: ast.AST) -> list[ast.AST]:
    """The nodes below one, without annotations, decorators, types and texts for people."""
    match node:
        case ast.AnnAssign(value=value):
            return [value] if value else []
        case ast.FunctionDef(args=args, body=body):
            return [*(d for d in (*args.defaults, *args.kw_defaults) if d is not None), *body]
        case ast.ClassDef(body=body):
            return [*body]
        case ast.Subscript(value=ast.Name(id="Literal")) | ast.Call(func=ast.Name(id="tr" | "TypeVar")):
            return []
        case _:
            return [*ast.iter_child_nodes(node)]


def _mutations(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.expr | ast.stmt]]:
    """Parts of a node, each with what takes its place."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for i, op in enumerate(ops):
                for other in _COMPARISONS[type(op)]:
                    yield node, ast.Compare(left, [*ops[:i], other(), *ops[i + 1 :]], comparators)
        case ast.BoolOp(op=both, values=values):
            yield node, ast.BoolOp(ast.Or() if isinstance(both, ast.And) else ast.And(), values)
            for i in range(len(values)):
                rest = [*values[:i], *values[i + 1 :]]
                yield node, rest[0] if len(rest) == 1 else ast.BoolOp(both, rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, operand
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
            yield node, ast.BinOp(left, _ARITHMETIC[type(operator)](), right)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield node, ast.IfExp(test, orelse, body)
        case ast.If(test=test) if not isinstance(test, (ast.Compare, ast.UnaryOp)):
            yield test, ast.UnaryOp(ast.Not(), test)
        case ast.comprehension(ifs=conditions):
            for condition in conditions:
                yield condition, ast.Constant(True)
        case ast.Constant(value=bool(value)):
            yield node, ast.Constant(not value)
        case ast.Constant(value=int(number) | float(number)):
            yield node, ast.Constant(number + 1)
        case ast.Constant(value=str(name)) if " " not in name:
            yield node, ast.Constant(f"XX{name}")
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords) if name in _CALLS:
            yield node, ast.Call(ast.Name(_CALLS[name]), arguments, keywords)
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield node, ast.Pass()
        case ast.Continue():
            yield node, ast.Break()
        case _:
            pass
