"""Ordinary answers: prose, lists and code that repeat no more than answers do."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.benchmarks.scores.material import sentences, snippets
from tests.benchmarks.scores.sample import TUNED, Sample

__all__ = ["answer", "ordinary", "paragraphs"]

OPENINGS = {
    "en": ("Sure, here is what I found.", "Of course!", "Here is a short answer:", "Good question.", ""),
    "zh": ("好的，以下是我的回答。", "当然可以！", "简要说明如下：", "这是个好问题。", ""),
}


def paragraphs(draw: Random, language: str, count: int) -> str:
    """``count`` different sentences in paragraphs of a few."""
    picked = draw.sample(sentences(language), min(count, len(sentences(language))))
    text = draw.choice(OPENINGS[language])
    for i, sentence in enumerate(picked):
        text += ("\n\n" if i % draw.randint(3, 6) == 0 else " " if language == "en" else "") + sentence
    return text.strip()


def answer(draw: Random, language: str) -> str:
    """Prose, a list, or prose about code; of a length as answers have."""
    shape = draw.random()
    if language == "code":
        code = "\n\n".join(f"```\n{s}```" for s in draw.sample(snippets(), draw.randint(1, 4)))
        return f"{paragraphs(draw, 'en', draw.randint(1, 3))}\n\n{code}"
    if shape < 0.6:
        return paragraphs(draw, language, draw.randint(3, 40))
    picked = draw.sample(sentences(language), draw.randint(4, 14))
    bullet = draw.choice(("- ", "* ", "{}. ", "{}) ", "{}、" if language == "zh" else "**{}.** "))
    items = "\n".join(bullet.format(i) + s for i, s in enumerate(picked, 1))
    return f"{draw.choice(OPENINGS[language])}\n\n{items}\n\n{paragraphs(draw, language, draw.randint(1, 3))}"


def ordinary(count: int, half: str = TUNED) -> Iterator[Sample]:
    """``count`` answers of each language for a half, each with another answer for a reference."""
    for language in ("en", "zh", "code"):
        draw = Random(f"ordinary {language}, {half}, fifth split")
        for i in range(count):
            yield Sample(
                id=f"ordinary-{language}-{i}",
                kind=f"ordinary {language}",
                text=answer(draw, language),
                reference=answer(draw, language),
            )
