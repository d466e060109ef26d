"""Reads the words of a shell script without running it: commands, their variables, here-documents.

The part of bash that training scripts use is understood: quotes, line continuations, comments, ``NAME=value``,
``export``, arrays, ``$NAME``, ``${NAME:-default}``, lists of commands, redirections and here-documents. A variable that
the script does not set, a command substitution or a pattern operator is left in the word as it stands, and the word is
marked. The variables of this machine are never looked up, since the script was written for another one.

Trade-off: branches and loops are read as if every line ran once, in order. No text makes the reader raise. A script
that is too large, or whose variables grow without bound, is read in part, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.migrate.shell_tokens import Piece, Token, Tokenizer

__all__ = ["Command", "Script", "Word", "read_script"]

MAX_SCRIPT = 2**20
"""Characters of a script that are read."""
_MAX_EXPANDED = 2**22
"""Characters that all variables of a script together may expand to."""
_MAX_VALUE = 2**16
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_REDIRECTIONS = {"<<<", ">>", "&>", ">&", "<&", "<", ">"}
_KEYWORDS = {"if", "then", "elif", "else", "fi", "while", "until", "do", "done", "esac", "{", "}", "!", "time"}
_PREFIXES = {"nohup", "sudo", "exec", "env", "command", "nice", "stdbuf"}
_DECLARE = {"export", "local", "declare", "readonly", "typeset"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word, its variables replaced."""

    text: str
    unresolved: tuple[str, ...] = ()
    """What could not be replaced and stands in the text as it was written: ``$HOME``, ``$(date)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One simple command."""

    words: tuple[Word, ...]
    line: int
    """From 1."""
    environment: Mapping[str, Word] = field(default_factory=dict)
    """Those of the variables that were asked for which the script had set, or which stand in front of the command."""
    document: str | None = None
    """Its here-document."""
    output: str = ""
    """File that its output goes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script, read."""

    commands: tuple[Command, ...]
    problems: tuple[str, ...] = ()
    """What could not be read, for people."""


def read_script(text: str, variables: Collection[str] = ()) -> Script:
    """The commands of a script, in order; never raises.

    Args:
        text: the script.
        variables: names of the variables that :attr:`Command.environment` holds.
    """
    problems = []
    if len(text) > MAX_SCRIPT:
        problems.append(f"only the first {MAX_SCRIPT:,} characters were read")
    reader = Tokenizer(text[:MAX_SCRIPT].replace("\r\n", "\n"))
    tokens = reader.tokens()
    interpreter = _Interpreter(variables)
    commands = tuple(interpreter.commands(tokens))
    return Script(commands=commands, problems=(*problems, *reader.problems, *interpreter.problems))


class _Interpreter:
    """Tokens to commands, with the values of variables at each of them."""

    def __init__(self, variables: Collection[str]) -> None:
        self._variables = variables
        self._values: dict[str, Word] = {}
        self._arrays: dict[str, list[Word]] = {}
        self._expanded = 0
        self.problems: list[str] = []

    def commands(self, tokens: Sequence[Token]) -> Iterator[Command]:
        simple: list[Token] = []
        waiting = iter([*tokens, Token(0, "\n")])
        for token in waiting:
            if token.operator == "(" and self._opens_array(simple):
                self._set_array(simple.pop(), waiting)
            elif token.operator and token.operator not in _REDIRECTIONS and token.operator not in ("<<", "<<-"):
                if simple:
                    yield from self._command(simple)
                simple = []
            else:
                simple.append(token)

    def _opens_array(self, simple: Sequence[Token]) -> bool:
        if not simple or simple[-1].operator or not simple[-1].pieces:
            return False
        text = "".join(p.text for p in simple[-1].pieces)
        return bool(_ASSIGNMENT.fullmatch(text))

    def _set_array(self, name: Token, waiting: Iterator[Token]) -> None:
        words: list[Word] = []
        for token in waiting:
            if token.operator == ")":
                break
            if not token.operator:
                words += self._words(token)
        text = "".join(p.text for p in name.pieces)
        match = _ASSIGNMENT.fullmatch(text)
        assert match is not None
        self._arrays[match[1]] = [*(self._arrays.get(match[1], []) if match[2] else []), *words]

    def _command(self, tokens: Sequence[Token]) -> Iterator[Command]:
        own: dict[str, Word] = {}
        words: list[Word] = []
        document: str | None = None
        output = ""
        declares = False
        at = 0
        while at < len(tokens):
            token = tokens[at]
            at += 1
            if token.operator in ("<<", "<<-"):
                document = self._joined(token.pieces).text
                continue
            if token.operator:
                target = self._words(tokens[at]) if at < len(tokens) and not tokens[at].operator else []
                at += 1
                if words and words[-1].text in ("1", "2") and tokens[at - 3].end == token.start:
                    # The number of a stream, as in 2>&1.
                    words.pop()
                elif token.operator in (">", ">>", "&>") and target:
                    output = target[0].text
                continue
            written = "".join(p.text for p in token.pieces)
            plain = all(not p.quoted and not p.variable for p in token.pieces)
            if not words and plain and (written in _KEYWORDS or written in _PREFIXES):
                continue
            if not words and plain and written in _DECLARE:
                declares = True
                continue
            if (not words or declares) and (match := self._assignment(token)):
                own[match[0]] = match[1]
                if declares:
                    self._values[match[0]] = match[1]
                continue
            if declares:
                # "export NAME" of a variable that has its value already, or an option of declare.
                continue
            words += self._words(token)
        if words:
            known = {**{name: self._values[name] for name in self._variables if name in self._values}, **own}
            environment = {name: known[name] for name in self._variables if name in known}
            yield Command(
                words=tuple(words), line=tokens[0].line, environment=environment, document=document, output=output
            )
            self._forget_loop_variable(words)
        elif own:
            self._values |= own

    def _forget_loop_variable(self, words: Sequence[Word]) -> None:
        if words[0].text in ("for", "read", "select") and len(words) > 1:
            for word in words[1:2] if words[0].text != "read" else words[1:]:
                self._values.pop(word.text, None)

    def _assignment(self, token: Token) -> tuple[str, Word] | None:
        first = token.pieces[0] if token.pieces else None
        match = _ASSIGNMENT.match(first.text) if first and not first.variable and not first.quoted else None
        if match is None or first is None:
            return None
        value = self._joined([Piece(first.text[match.end() :]), *token.pieces[1:]])
        if match[2] and (before := self._values.get(match[1])):
            value = Word(before.text + value.text, (*before.unresolved, *value.unresolved))
        return match[1], value

    def _joined(self, pieces: Sequence[Piece]) -> Word:
        """One word, whatever blanks its variables hold."""
        texts: list[str] = []
        unresolved: list[str] = []
        for piece in pieces:
            value = self._value(piece)
            texts.append(value.text)
            unresolved += value.unresolved
        return Word("".join(texts)[:_MAX_VALUE], tuple(dict.fromkeys(unresolved)))

    def _words(self, token: Token) -> list[Word]:
        """The words that a token becomes: an unquoted variable with blanks is several, an empty one none."""
        done: list[Word] = []
        text, begun = "", False
        unresolved: list[str] = []
        for piece in token.pieces:
            if piece.variable.endswith("]") and piece.variable[:-3] in self._arrays:
                items = self._arrays[piece.variable[:-3]] if self._may_expand(piece) else []
                for number, item in enumerate(items):
                    if number and begun:
                        done.append(Word(text, tuple(unresolved)))
                        text, unresolved = "", []
                    text, begun = text + item.text, True
                    unresolved += item.unresolved
                continue
            value = self._value(piece)
            unresolved += value.unresolved
            parts = re.split(r"[ \t\n]+", value.text) if piece.variable and not piece.quoted else [value.text]
            for number, part in enumerate(parts):
                if number and begun:
                    done.append(Word(text, tuple(dict.fromkeys(unresolved))))
                    text, unresolved, begun = "", list(value.unresolved), False
                text += part
                begun = begun or bool(part) or piece.quoted
        if begun:
            done.append(Word(text, tuple(dict.fromkeys(unresolved))))
        return done

    def _value(self, piece: Piece) -> Word:
        if piece.unknown:
            return Word(piece.text, (piece.text,))
        if not piece.variable:
            return Word(piece.text)
        name = piece.variable.split("[", 1)[0]
        known = self._values.get(name)
        if piece.default is not None and (known is None or not known.text):
            return Word(piece.default)
        shown = piece.text if piece.text.startswith("$") else f"${piece.text}"
        if known is None or not self._may_expand(piece, len(known.text)):
            return Word(shown, (shown,))
        return known

    def _may_expand(self, piece: Piece, size: int = 0) -> bool:
        """Whether the script's variables have not grown without bound."""
        size = size or sum(len(w.text) for w in self._arrays.get(piece.variable[:-3], ()))
        if self._expanded + size > _MAX_EXPANDED:
            if not self.problems:
                self.problems.append("its variables expand to too much text; the rest is left as it stands")
            return False
        self._expanded += size
        return True
