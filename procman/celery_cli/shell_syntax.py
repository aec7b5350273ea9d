"""Read the commands, lists and blocks of a shell script, without running or expanding anything."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.celery_cli.shell_nodes import Case, Chain, Command, Function, Group, If, Node, Not, Opaque
from procman.celery_cli.shell_words import Reader, SyntaxProblem, Token

DEEPEST = 40
"""Blocks inside each other."""

CLOSING = {"then", "else", "elif", "fi", "do", "done", "esac", "}"}
LOOPS = {"for", "while", "until", "select"}
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def read_nodes(text: str) -> Iterator[Node]:
    """Yield the commands and blocks of `text` in their order; an incomplete rest is one Opaque at the end."""
    parser = _Parser(text)
    try:
        while True:
            parser.skip_line_ends()
            if parser.now.kind == "end":
                return
            yield parser.chain()
    except SyntaxProblem as problem:
        first, *_ = text[problem.start :].strip().split("\n")
        yield Opaque(problem.line, first)


class _Parser:
    def __init__(self, text: str) -> None:
        self.reader = Reader(text)
        self.text = text
        self.tokens = self.reader.tokens()
        self.depth = 0
        self.next: Token | None = None

    @property
    def now(self) -> Token:
        """The next token, which is read only when it is needed: a problem in it is none of those before it."""
        self.next = self.next or next(self.tokens)
        return self.next

    def take(self) -> Token:
        taken = self.now
        if taken.kind == "end":
            raise self.fail(taken)
        self.next = None
        return taken

    def fail(self, token: Token) -> SyntaxProblem:
        return SyntaxProblem(token.line, token.start)

    def is_now(self, *texts: str) -> bool:
        return self.now.kind in ("word", "operator") and self.now.text in texts

    def expect(self, *texts: str) -> Token:
        if not self.is_now(*texts):
            raise self.fail(self.now)
        return self.take()

    def skip_line_ends(self) -> None:
        while self.now.kind == "newline" or self.is_now(";"):
            self.take()

    def body(self, *ends: str) -> tuple[Node, ...]:
        """Return the commands up to one of the words `ends`, which is not taken."""
        found = list[Node]()
        self.skip_line_ends()
        while not self.is_now(*ends):
            if self.now.kind == "end" or self.is_now(*CLOSING):
                raise self.fail(self.now)
            found.append(self.chain())
            self.skip_line_ends()
        return tuple(found)

    def source(self, start: Token) -> str:
        return self.text[start.start : self.now.start].replace("\\\n", "").strip().rstrip(";&").rstrip()

    def chain(self) -> Node:
        start = self.now
        links = [("", self.pipeline())]
        while self.is_now("&&", "||"):
            operator = self.take().text
            while self.now.kind == "newline":
                self.take()
            links.append((operator, self.pipeline()))
        source = self.source(start)
        if self.is_now("&"):
            self.take()
            return Opaque(start.line, f"{source} &")
        return links[0][1] if len(links) == 1 else Chain(start.line, source, tuple(links))

    def pipeline(self) -> Node:
        start, negated, first = self.now, False, True
        while self.is_now("!"):
            self.take()
            negated = not negated
        node = self.command()
        while self.is_now("|", "|&"):
            self.take()
            self.skip_line_ends()
            self.command()
            first = False
        if not first:
            return Opaque(start.line, self.source(start))
        return Not(start.line, self.source(start), node) if negated else node

    def command(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.fail(self.now)
        start = self.now
        try:
            if self.is_now("if"):
                return self.if_block()
            if self.is_now("case"):
                return self.case_block()
            if self.is_now(*LOOPS):
                return self.loop()
            if self.is_now("("):
                self.take()
                self.body(")")
                self.take()
                return Opaque(start.line, self.source(start))
            if self.is_now("function"):
                self.take()
                return self.named_function()
            if self.is_now("{"):
                self.take()
                inside = self.body("}")
                self.take()
                self.redirections()
                return Group(start.line, self.source(start), inside)
            return self.simple()
        finally:
            self.depth -= 1

    def if_block(self) -> Node:
        start = self.take()
        branches = list[tuple[tuple[Node, ...], tuple[Node, ...]]]()
        condition = self.body("then")
        while True:
            self.expect("then", "else")
            branches.append((condition, self.body("elif", "else", "fi")))
            end = self.now.text
            if end == "fi":
                break
            condition = ()
            if end == "elif":
                self.take()
                condition = self.body("then")
        self.take()
        self.redirections()
        return If(start.line, self.source(start), tuple(branches))

    def case_block(self) -> Node:
        start, word = self.take(), self.take()
        if word.kind != "word":
            raise self.fail(word)
        self.skip_line_ends()
        self.expect("in")
        branches = list[tuple[tuple[Token, ...], tuple[Node, ...]]]()
        self.skip_line_ends()
        while not self.is_now("esac"):
            if self.is_now("("):
                self.take()
            patterns = [self.take()]
            while self.is_now("|"):
                self.take()
                patterns.append(self.take())
            self.expect(")")
            branches.append((tuple(patterns), self.body(";;", ";&", ";;&", "esac")))
            if not self.is_now("esac"):
                self.take()
            self.skip_line_ends()
        self.take()
        return Case(start.line, self.source(start), word, tuple(branches))

    def loop(self) -> Node:
        start = self.take()
        if start.text in ("while", "until"):
            self.body("do")
        while not self.is_now("do"):
            self.take()
        self.take()
        self.body("done")
        self.take()
        self.redirections()
        return Opaque(start.line, self.source(start))

    def redirections(self) -> tuple[str, ...]:
        """Take the redirections that follow, and return them."""
        found = list[str]()
        while self.now.kind == "redirection":
            operator = self.take()
            if self.now.kind != "word":
                raise self.fail(operator)
            target = self.now
            if operator.text in ("<<", "<<-"):
                delimiter = re.sub(r"[\\'\"]", "", target.text)
                self.reader.delimiters.append((delimiter, operator.text == "<<-"))
            self.take()
            found.append(self.text[operator.start : target.end])
        return tuple(found)

    def simple(self) -> Node:
        start, words, redirections = self.now, list[Token](), self.redirections()
        is_test = self.is_now("[[")
        while self.now.kind == "word" or (is_test and self.now.kind in ("operator", "redirection", "newline")):
            words.append(self.take())
            if is_test and words[-1].text == "]]":
                is_test = False
            if not is_test:
                redirections += self.redirections()
        if len(words) == 1 and self.is_now("("):
            return self.function(words[0])
        if not words and not redirections:
            raise self.fail(self.now)
        return Command(start.line, self.source(start), tuple(words), redirections)

    def function(self, name: Token) -> Node:
        self.take()
        self.expect(")")
        return self.defined(name)

    def named_function(self) -> Node:
        name = self.take()
        if self.is_now("("):
            self.take()
            self.expect(")")
        return self.defined(name)

    def defined(self, name: Token) -> Node:
        if not NAME.fullmatch(name.text):
            raise self.fail(name)
        self.skip_line_ends()
        return Function(name.line, name.text, name.text, self.command())
