"""Values of expressions in Python source, by its syntax tree; nothing of it is run.

A value may be a constant, a name, an f-string, a sum, ``os.path.join``, ``Path(...) / "..."``, an ``argparse`` default,
a default of an argument, or what a loop takes out of a list. Work is bounded, whatever the source is.

Trade-off: assignments are read as if all of them held everywhere, so a name may have several values.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

__all__ = ["MAX_VALUES", "UNKNOWN", "Bindings", "called_name", "source_of"]

MAX_VALUES = 64
"""Values that one expression may have; more are not looked at."""
_MAX_DEPTH = 40
_MAX_STEPS = 100_000
_MAX_TEXT = 2**16


class _Unknown:
    """A value that cannot be had without running the script."""


UNKNOWN = _Unknown()


class Bindings:
    """What is assigned where in a tree, and the values that follow from it."""

    def __init__(self, nodes: Sequence[ast.AST]) -> None:
        self.bound: dict[str, list[ast.expr]] = {}
        """What is assigned to a name anywhere, and defaults of arguments; attributes and options under ``.name``."""
        self._looped: dict[str, list[ast.expr]] = {}
        """What a name is a loop over."""
        self._steps = 0
        for node in nodes:
            self._bind(node)

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind_target(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            if node.value is not None:
                self._bind_target(node.target, node.value)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._bind_loop(node.target, node.iter)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            arguments = node.args
            positional = [*arguments.posonlyargs, *arguments.args]
            for argument, default in zip(reversed(positional), reversed(arguments.defaults), strict=False):
                self.bound.setdefault(argument.arg, []).append(default)
            for argument, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
                if given is not None:
                    self.bound.setdefault(argument.arg, []).append(given)
        elif isinstance(node, ast.Call) and called_name(node).endswith("add_argument"):
            defaults = [k.value for k in node.keywords if k.arg == "default"][:1]
            for flag in (a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)):
                self.bound.setdefault("." + flag.lstrip("-").replace("-", "_"), []).extend(defaults)

    def _bind_target(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.bound.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Attribute):
            self.bound.setdefault("." + target.attr, []).append(value)
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            for part, own in zip(target.elts, value.elts, strict=False):
                self._bind_target(part, own)

    def _bind_loop(self, target: ast.expr, over: ast.expr) -> None:
        if isinstance(over, ast.Call) and called_name(over) in ("enumerate", "tqdm", "tqdm.tqdm") and over.args:
            self._bind_loop(
                target.elts[-1] if called_name(over) == "enumerate" and isinstance(target, ast.Tuple) and target.elts
                else target, over.args[0],
            )  # fmt: skip
        elif isinstance(target, ast.Name):
            self._looped.setdefault(target.id, []).append(over)

    # -- values --------------------------------------------------------------------------------------------------------

    def values(self, node: ast.expr | None, depth: int = 0) -> list[Any]:
        """Every value that an expression may have; ``UNKNOWN`` among them where some cannot be had."""
        self._steps += 1
        if node is None or depth > _MAX_DEPTH or self._steps > _MAX_STEPS:
            return [UNKNOWN]
        if isinstance(node, ast.Constant):
            return [node.value]
        if isinstance(node, ast.Name | ast.Attribute):
            return self._of_name(node, depth)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            items = [self.values(item, depth + 1) for item in node.elts[: 4 * MAX_VALUES]]
            return [[values[0] if len(values) == 1 else UNKNOWN for values in items]]
        if isinstance(node, ast.JoinedStr):
            return self._concatenated([self._part(v) for v in node.values], depth)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Div):
            return self._sum(node, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return [
                -v if isinstance(v, int | float) and not isinstance(v, bool) else UNKNOWN
                for v in self.values(node.operand, depth + 1)
            ]
        if isinstance(node, ast.IfExp):
            return _few([*self.values(node.body, depth + 1), *self.values(node.orelse, depth + 1)])
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return _few([v for part in node.values for v in self.values(part, depth + 1) if v is not UNKNOWN and v])
        if isinstance(node, ast.Call):
            return self._of_call(node, depth)
        return [UNKNOWN]

    def _of_name(self, node: ast.Name | ast.Attribute, depth: int) -> list[Any]:
        key = node.id if isinstance(node, ast.Name) else f".{node.attr}"
        values = [v for bound in self.bound.get(key, ())[:MAX_VALUES] for v in self.values(bound, depth + 1)]
        for over in self._looped.get(key, ())[:MAX_VALUES]:
            for value in self.values(over, depth + 1):
                values += value if isinstance(value, list) else [UNKNOWN]
        # None is what an argument is before it gets its value.
        return _few([v for v in values if v is not None]) or [UNKNOWN]

    def _part(self, node: ast.expr) -> ast.expr:
        return node.value if isinstance(node, ast.FormattedValue) else node

    def _concatenated(self, parts: Sequence[ast.expr], depth: int, between: str = "") -> list[Any]:
        texts: list[Any] = [""]
        for number, part in enumerate(parts):
            values = self.values(part, depth + 1)
            texts = _few([
                UNKNOWN if t is UNKNOWN or not isinstance(v, str | int | float)
                else f"{t.rstrip('/') if between else t}{between if number else ''}{v}"[:_MAX_TEXT]
                for t in texts for v in values
            ])  # fmt: skip
        return texts

    def _sum(self, node: ast.BinOp, depth: int) -> list[Any]:
        if isinstance(node.op, ast.Div):
            return self._concatenated([node.left, node.right], depth, "/")
        left, right = self.values(node.left, depth + 1), self.values(node.right, depth + 1)
        both: list[Any] = []
        for a in left:
            for b in right:
                same = any(isinstance(a, kind) and isinstance(b, kind) for kind in (str, list))
                both.append((a + b)[:_MAX_TEXT] if same else UNKNOWN)
        return _few(both)

    def _of_call(self, node: ast.Call, depth: int) -> list[Any]:
        called = called_name(node)
        if called in ("os.path.join", "Path", "pathlib.Path", "join", "osp.join") and node.args:
            return self._concatenated(node.args, depth, "/")
        if called in ("str", "os.path.expanduser", "os.path.abspath", "int", "float", "list", "sorted") and node.args:
            return self.values(node.args[0], depth + 1)
        if called in ("os.environ.get", "os.getenv") and len(node.args) > 1:
            return self.values(node.args[1], depth + 1)
        if called.endswith(".split") and isinstance(node.func, ast.Attribute):
            split = ast.literal_eval(node.args[0]) if node.args and isinstance(node.args[0], ast.Constant) else None
            return [
                v.split(split)
                if isinstance(v, str) and (split is None or (isinstance(split, str) and split))
                else UNKNOWN
                for v in self.values(node.func.value, depth + 1)
            ]
        return [UNKNOWN]


def called_name(call: ast.Call) -> str:
    """The dotted name that is called, of classes the last part: ``vllm.LLM`` is ``LLM``."""
    parts: list[str] = []
    node: ast.expr = call.func
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "?")
    name = ".".join(reversed(parts))
    if parts[0] == "from_pretrained" and len(parts) > 1:
        return f"{parts[1]}.from_pretrained"
    return parts[0] if parts[0][:1].isupper() else name


def _few(values: list[Any]) -> list[Any]:
    """Distinct values, not too many."""
    distinct: list[Any] = []
    for value in values:
        if not any(value is other or (type(value) is type(other) and value == other) for other in distinct):
            distinct.append(value)
        if len(distinct) >= MAX_VALUES:
            break
    return distinct


def source_of(node: ast.expr) -> str:
    """An expression as Python writes it, shortened."""
    try:
        return ast.unparse(node)[:80]
    except (RecursionError, ValueError):
        return "an expression"
