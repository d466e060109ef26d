"""Characters of a shell script to tokens: words in pieces, operators, here-documents.

A word is kept in pieces, since what stands for a variable is known only when the commands before it were read; see
:mod:`harness.migrate.shell`. Quotes, escapes, comments and line continuations end here. No text makes the reader raise:
what has no end goes on to the end of the script, and that is said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Piece", "Token", "Tokenizer"]

_MAX_BRACKETS = 2**12
"""Characters in which a bracket must be closed; otherwise each one of many would be looked for to the end."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATORS = ("&&", "||", ";;", "<<<", "<<-", "<<", ">>", "&>", ">&", "<&", ";", "&", "|", "(", ")", "<", ">")
_ESCAPED_IN_QUOTES = '$`"\\\n'


@dataclass(slots=True)
class Piece:
    """A part of a word: a text, or a variable with what stands for it."""

    text: str
    variable: str = ""
    default: str | None = None
    quoted: bool = False
    unknown: bool = False
    """Whether the text is something that only a shell can evaluate."""


@dataclass(slots=True)
class Token:
    """A word in pieces, or an operator; the end of a line is the operator that is a newline."""

    line: int
    operator: str = ""
    pieces: list[Piece] = field(default_factory=list)
    document: str | None = None
    start: int = 0
    end: int = 0
    """Offsets of the characters that it was read from."""


class Tokenizer:
    """Characters to tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._documents: list[tuple[Token, str, bool, bool]] = []
        """Here-documents whose text begins at the next line: token, its end, whether tabs go, whether it is quoted."""
        self.problems: list[str] = []

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "\n":
                found.append(Token(self._line, "\n"))
                self._step()
                self._read_documents()
            elif char in " \t\r":
                self._step()
            elif self._text.startswith("\\\n", self._at):
                self._step(2)
            elif char == "#":
                self._step(self._until("\n") - self._at)
            elif operator := next((o for o in _OPERATORS if self._text.startswith(o, self._at)), ""):
                token = Token(self._line, operator, start=self._at)
                self._step(len(operator))
                if operator in ("<<", "<<-"):
                    self._begin_document(token)
                found.append(token)
            else:
                found.append(self._word())
        self._read_documents()
        return found

    def _step(self, count: int = 1) -> None:
        self._line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def _until(self, what: str) -> int:
        end = self._text.find(what, self._at)
        return len(self._text) if end < 0 else end

    def _begin_document(self, token: Token) -> None:
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._step()
        word = self._word()
        quoted = any(p.quoted for p in word.pieces)
        end = "".join(p.text for p in word.pieces)
        self._documents.append((token, end, token.operator == "<<-", quoted))

    def _read_documents(self) -> None:
        for token, end, tabs, quoted in self._documents:
            lines = []
            while self._at < len(self._text):
                stop = self._until("\n")
                line = self._text[self._at : stop]
                self._step(stop - self._at + 1)
                line = line.lstrip("\t") if tabs else line
                if line == end:
                    break
                lines.append(line)
            else:
                self.problems.append(f"line {token.line}: the here-document {end!r} has no end")
            token.document = "".join(f"{line}\n" for line in lines)
            # The pieces hold it too, since variables in it are replaced unless its end is quoted.
            token.pieces = [Piece(token.document, quoted=True)] if quoted else Tokenizer(token.document)._quoted("")
        self._documents = []

    def _word(self) -> Token:
        token = Token(self._line)
        pieces = token.pieces
        start = self._at
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in " \t\r\n" or any(self._text.startswith(o, self._at) for o in _OPERATORS):
                break
            if char == "\\":
                following = self._text[self._at + 1 : self._at + 2]
                pieces.append(Piece(following.strip("\n"), quoted=True))
                self._step(2)
            elif char == "'":
                self._step()
                end = self._end_of_quotes("'")
                pieces.append(Piece(self._text[self._at : end], quoted=True))
                self._step(end - self._at + 1)
            elif char == '"':
                self._step()
                pieces += self._quoted('"')
                pieces.append(Piece("", quoted=True))
            elif char in "$`":
                pieces.append(self._expansion(quoted=False))
            else:
                end = self._at + 1
                while end < len(self._text) and self._text[end] not in " \t\r\n\\'\"$`;&|()<>":
                    end += 1
                pieces.append(Piece(self._text[self._at : end]))
                self._step(end - self._at)
        if self._at == start:
            # Nothing that begins a word; go on behind it.
            self._step()
        token.end = self._at
        return token

    def _end_of_quotes(self, mark: str) -> int:
        end = self._text.find(mark, self._at)
        if end < 0:
            self.problems.append(f"line {self._line}: a quotation has no end")
            return len(self._text)
        return end

    def _quoted(self, mark: str) -> list[Piece]:
        """The pieces up to the closing ``mark``, or up to the end."""
        pieces: list[Piece] = []
        line, closed = self._line, not mark
        while self._at < len(self._text):
            char = self._text[self._at]
            if mark and char == mark:
                self._step()
                closed = True
                break
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in tuple(_ESCAPED_IN_QUOTES):
                following = self._text[self._at + 1]
                pieces.append(Piece("" if following == "\n" else following, quoted=True))
                self._step(2)
            elif char in "$`":
                pieces.append(self._expansion(quoted=True))
            else:
                end = self._at + 1
                while end < len(self._text) and self._text[end] not in f"\\$`{mark}":
                    end += 1
                pieces.append(Piece(self._text[self._at : end], quoted=True))
                self._step(end - self._at)
        if not closed:
            self.problems.append(f"line {line}: a quotation has no end")
        return pieces

    def _expansion(self, *, quoted: bool) -> Piece:
        """What begins with ``$`` or a backtick."""
        text, at = self._text, self._at
        if text[at] == "`":
            end = text.find("`", at + 1)
        elif text.startswith("$(", at):
            end = _closing(text, at + 1, "(", ")")
        elif text.startswith("${", at):
            end = _closing(text, at + 1, "{", "}")
        else:
            match = _NAME.match(text, at + 1)
            if match is None:
                special = text[at + 1 : at + 2]
                length = 2 if special and special in "0123456789@*#?$!-" else 1
                self._step(length)
                return Piece(text[at : at + length], quoted=quoted, unknown=length == 2)
            self._step(match.end() - at)
            return Piece(match[0], variable=match[0], quoted=quoted)
        if end < 0:
            end = min(self._until("\n"), len(text)) - 1
            self.problems.append(f"line {self._line}: {text[at : at + 2]!r} has no end")
        written = text[at : max(end, at) + 1]
        self._step(len(written))
        inner = re.fullmatch(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(\[[@*]\])?(?:(:?[-=])([^{}$`\"']*))?\}", written, re.DOTALL)
        if inner is None:
            return Piece(written, quoted=quoted, unknown=True)
        return Piece(written, variable=inner[1] + (inner[2] or ""), default=inner[4], quoted=quoted)


def _closing(text: str, at: int, opening: str, closing: str) -> int:
    """Where the bracket at ``at`` is closed; -1: nowhere near."""
    depth = 0
    for match in re.compile(f"[{re.escape(opening + closing)}]").finditer(text, at, at + _MAX_BRACKETS):
        depth += 1 if match[0] == opening else -1
        if depth == 0:
            return match.start()
    return -1
