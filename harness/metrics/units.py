"""Splits text into mixed units, in which repetition is counted.

One unit is one CJK character, one word of a script that separates words (Latin, Cyrillic, Greek, Arabic, Hangul ...),
one run of digits, or one punctuation mark or symbol. Text is never split at white space alone, which finds nothing in
Chinese. Thai, Lao, Khmer and Burmese write no spaces: one unit is a consonant with its vowels and marks. An emoji
sequence (skin tone, joiner, variation selector) is one unit. So is a drawn line, which is four or more of one mark in a
row (``-----``, ``=====``, leader dots). Chinese numerals count as digits only where they number something (``第三，``, or
``三、`` at the start of a clause), since 一 is also the commonest word for "a". A letter that labels a line (``A.`` or
``b)``) counts as a number.

The kernel below is plain Python on integer arrays, so that the same source runs interpreted on lists and compiled on
numpy arrays with equal results (harness/metrics/kernels.py).

Not supported: dictionaries and segmenters, which are slow and whose versions would change scores; case folding and
Unicode normalisation, since a loop repeats itself byte for byte.
"""

from __future__ import annotations

import unicodedata
from collections.abc import MutableSequence, Sequence
from functools import cache
from typing import NamedTuple

__all__ = [
    "DRAWABLE",
    "HELPERS",
    "NUMBER",
    "PUNCTUATION",
    "WORD",
    "Ints",
    "Lookup",
    "Units",
    "character_classes",
    "split_units",
]

Ints = MutableSequence[int]
"""A list of int, or a numpy array of an integer type."""


class Units(NamedTuple):
    """A batch of texts as units; every field is a list or a numpy array.

    The text "the sea, the" has the units ``the`` ``sea`` ``,`` ``the``: starts 0 4 7 9, ends 3 7 8 12, kinds WORD WORD
    PUNCTUATION WORD, gaps NEW_LINE APART JOINED APART, ids 1 2 3 1.
    """

    codes: Ints
    """Code points of all texts, one after the other."""
    bounds: Ints
    """Offsets of the texts in ``codes``; one more than there are texts."""
    starts: Ints
    """Per unit: offset of its first character in ``codes``."""
    ends: Ints
    """Per unit: offset behind its last character."""
    kinds: Ints
    """Per unit: WORD, NUMBER or PUNCTUATION."""
    gaps: Ints
    """Per unit: JOINED, APART or NEW_LINE, by what stands before it."""
    ids: Ints
    """Per unit: equal within a text exactly when the units are equal; 1, 2 ... by first appearance."""
    offsets: Ints
    """Offsets of the texts in the unit arrays; one more than there are texts."""
    distinct: Ints
    """Per text: one more than its different units."""
    widths: Ints
    """Per text: characters of its longest unit."""
    contents: Ints
    """Per text: units that are words or numbers."""


class Lookup(NamedTuple):
    """Scratch: where units are looked up to get their ids."""

    heads: Ints
    """Per id: offset in ``codes`` where it first stands."""
    keys: Ints
    """Per id: its key (hash and length)."""
    singles: Ints
    """``SINGLES`` long: ids of units of one character, by code point, with the stamp of their text."""
    slots: Ints
    """Hash table: a power of two long, at least twice the characters of the longest text."""
    state: Ints
    """``state[0]`` is the last stamp used. A stamp is never used twice, so that nothing needs to be cleared."""


# What a unit is.
WORD = 0
NUMBER = 1
PUNCTUATION = 2

# What a character is.
# The order matters: SPACE first, then what may stand inside a word.
SPACE = 0
LETTER = 1
MARK = 2
JOINER = 3
SINGLE = 4
DIGIT = 5
SYMBOL = 6
LEAD = 7
APOSTROPHE = 8
NUMERAL = 9
ORDINAL = 10
CLOSER = 11
RULE = 12
STOP = 13

# What stands between a unit and the one before it.
JOINED = 0
APART = 1
NEW_LINE = 2

DRAWN = 4
"""Marks of one kind in a row that make a drawn line."""

SINGLES = 0x10000
"""Code points whose ids are looked up directly."""
DRAWABLE = ".-=*~#+·…—–─━═│┃╌┄"
"""The marks that lines are drawn with."""

_SINGLE_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3040, 0x312F),  # kana, bopomofo
    (0x31A0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width katakana
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x323AF),
)
# Ranges of one class throughout: no need to ask for every character.
_WHOLE = ((0x3400, 0x4DBF, SINGLE), (0x4E00, 0x9FFF, SINGLE), (0xAC00, 0xD7A3, LETTER), (0x20000, 0x323AF, SINGLE))
_EXCEPTIONS = {
    **dict.fromkeys(map(ord, "\u200b\ufeff\u2060\u2028\u2029\x85"), SPACE),
    **dict.fromkeys(map(ord, "'\u2019\u02bc"), APOSTROPHE),
    **dict.fromkeys(map(ord, "เแโไใເແໂໄໃ"), LEAD),
    **dict.fromkeys(map(ord, "ะาำๅະາຳ"), MARK),
    **dict.fromkeys(map(ord, "〇零一二三四五六七八九十百千"), NUMERAL),
    **dict.fromkeys(range(0x1F3FB, 0x1F400), MARK),
    **dict.fromkeys(range(0xE0020, 0xE0080), MARK),
    ord("_"): LETTER,
    ord("ー"): SINGLE,
    ord("第"): ORDINAL,
    0x200D: JOINER,
    **dict.fromkeys(map(ord, "、．)）:："), CLOSER),
    **dict.fromkeys(map(ord, DRAWABLE), RULE),
    ord("."): STOP,
}
_CATEGORIES = {"L": LETTER, "N": DIGIT, "M": MARK, "Z": SPACE, "C": SPACE, "P": SYMBOL, "S": SYMBOL}
_ASSIGNED = ((0, 0x32400), (0xE0000, 0xE0200))


@cache
def character_classes() -> bytes:
    """Class of every code point, 0x110000 bytes; unassigned and private ones are symbols."""
    table = bytearray([SYMBOL]) * 0x110000
    for low, high, kind in _WHOLE:
        table[low : high + 1] = bytes([kind]) * (high + 1 - low)
    whole = [False] * 0x110000
    for low, high, _ in _WHOLE:
        whole[low : high + 1] = [True] * (high + 1 - low)
    for low, high in _ASSIGNED:
        for code in range(low, high):
            if whole[code]:
                continue
            category = unicodedata.category(chr(code))
            if category in ("Cn", "Co", "Cs"):
                continue
            table[code] = MARK if category == "Cf" else _CATEGORIES[category[0]]
    for low, high in _SINGLE_RANGES:
        for code in range(low, min(high + 1, 0x1B170)):
            if table[code] == LETTER:
                table[code] = SINGLE
    for code, kind in _EXCEPTIONS.items():
        table[code] = kind
    return bytes(table)


def is_ordinal(codes: Sequence[int], classes: Sequence[int], low: int, high: int, first: int, end: int) -> bool:
    """Whether the Chinese numerals from ``first`` to ``end`` number something: ``第三``, or ``三、`` after a gap."""
    before = SPACE if first == low else classes[codes[first - 1]]
    after = SPACE if end == high else classes[codes[end]]
    apart = before == SPACE or before == SYMBOL or before >= CLOSER
    return before == ORDINAL or (apart and (after == CLOSER or after == STOP))


def scan_word(codes: Sequence[int], classes: Sequence[int], first: int, high: int) -> tuple[int, int]:
    """End and hash of the word that begins at ``first``: letters, their marks, and apostrophes between letters."""
    code = codes[first]
    end = first + 1
    while end < high:
        c = codes[end]
        k = classes[c]
        if k > JOINER or k == SPACE:
            if k != APOSTROPHE or end + 1 >= high or classes[codes[end + 1]] != LETTER:
                break
        # 40 bits times 20 bits stay below 2**63: equal in Python and in compiled arithmetic.
        code = (code * 1000003 + c) & 0xFFFFFFFFFF
        end += 1
    return end, code


def scan_marks(codes: Sequence[int], classes: Sequence[int], end: int, high: int) -> int:
    """End of the combining marks, variation selectors and joined symbols from ``end`` on."""
    while end < high:
        k = classes[codes[end]]
        if k == MARK:
            end += 1
        elif k == JOINER:
            end += 1
            if end < high and classes[codes[end]] == SYMBOL:
                end += 1
        else:
            break
    return end


def scan_other(codes: Sequence[int], classes: Sequence[int], low: int, high: int, first: int) -> tuple[int, int]:
    """End and kind of the unit that begins at ``first`` and is no word of letters."""
    code = codes[first]
    kind = classes[code]
    end = first + 1
    unit = PUNCTUATION
    if kind == SINGLE or kind == ORDINAL:
        unit = WORD
    elif kind == DIGIT:
        while end < high and classes[codes[end]] == DIGIT:
            end += 1
        return end, NUMBER
    elif kind == NUMERAL:
        unit = WORD
        k = end
        while k < high and classes[codes[k]] == NUMERAL:
            k += 1
        if is_ordinal(codes, classes, low, high, first, k):
            return k, NUMBER
    elif kind == LEAD:
        unit = WORD
        if end < high and classes[codes[end]] == SINGLE:
            end += 1
    elif kind == RULE or kind == STOP:
        k = end
        while k < high and codes[k] == code:
            k += 1
        if k - first >= DRAWN:
            end = k
    return scan_marks(codes, classes, end, high), unit


def find_id(
    codes: Sequence[int],
    heads: Ints,
    keys: Ints,
    slots: Ints,
    stamp: int,
    mask: int,
    first: int,
    end: int,
    high: int,
    code: int,
    fresh: int,
) -> int:
    """The id of a unit; ``fresh``, which is then entered, where the text has no equal unit yet.

    Args:
        codes: code points.
        heads, keys, slots: see :class:`Lookup`.
        stamp: of the text.
        mask: size of the used part of the hash table, less one.
        first, end: the unit's characters.
        high: end of the text.
        code: hash of the unit's characters.
        fresh: the next id.
    """
    length = end - first
    key = code << 8 | (length & 0xFF)
    slot = (code ^ (code >> 17)) & mask
    while True:
        held = slots[slot]
        if held >> 32 != stamp:
            heads[fresh] = first
            keys[fresh] = key
            slots[slot] = (stamp << 32) | fresh
            return fresh
        other = held & 0xFFFFFFFF
        if keys[other] == key:
            # Equal by hash and, up to 255 characters, length; now by text.
            start = heads[other]
            k = 0
            while k < length and start + k < high and codes[start + k] == codes[first + k]:
                k += 1
            if k == length:
                return other
        slot = (slot + 1) & mask


def split_units(docs: int, classes: Sequence[int], units: Units, lookup: Lookup) -> None:
    """Split a batch of texts into units.

    Args:
        docs: number of texts.
        classes: class of every code point (:func:`character_classes`).
        units: ``codes`` and ``bounds`` are read, everything else is written.
        lookup: scratch.
    """
    codes = units.codes
    starts, ends, kinds, gaps, ids = units.starts, units.ends, units.kinds, units.gaps, units.ids
    # Taken out of the tuples once: in compiled code each access counts references.
    heads, keys, singles, slots = lookup.heads, lookup.keys, lookup.singles, lookup.slots
    u = 0
    units.offsets[0] = 0
    for d in range(docs):
        low = units.bounds[d]
        high = units.bounds[d + 1]
        # More slots than characters are used: the table is never full, and small enough to stay in the cache.
        size = 16
        while size <= high - low:
            size *= 2
        lookup.state[0] += 1
        stamp = lookup.state[0]
        fresh = 1
        longest = 0
        content = 0
        gap = NEW_LINE
        i = low
        while i < high:
            code = codes[i]
            kind = classes[code]
            if kind == SPACE:
                if code == 10:
                    gap = NEW_LINE
                elif gap == JOINED:
                    gap = APART
                i += 1
                continue
            if kind == SINGLE and code < SINGLES:
                # Nearly all of a Chinese text; the general path would take half as long again.
                k = classes[codes[i + 1]] if i + 1 < high else SPACE
                if k != MARK and k != JOINER:
                    held = singles[code]
                    if held >> 32 != stamp:
                        held = (stamp << 32) | fresh
                        singles[code] = held
                        fresh += 1
                    starts[u] = i
                    i += 1
                    ends[u] = i
                    kinds[u] = WORD
                    gaps[u] = gap
                    ids[u] = held & 0xFFFFFFFF
                    u += 1
                    gap = JOINED
                    content += 1
                    longest = max(longest, 1)
                    continue
            if kind == LETTER:
                unit = WORD
                end, code = scan_word(codes, classes, i, high)
                # A letter that labels a line: "A." or "b)".
                if (
                    end == i + 1
                    and gap == NEW_LINE
                    and end < high
                    and code < 128
                    and (codes[end] == 46 or codes[end] == 41)
                ):
                    unit = NUMBER
            else:
                end, unit = scan_other(codes, classes, low, high, i)
                for k in range(i + 1, end):
                    code = (code * 1000003 + codes[k]) & 0xFFFFFFFFFF
            longest = max(longest, end - i)
            if end == i + 1 and code < SINGLES:
                held = singles[code]
                if held >> 32 != stamp:
                    held = (stamp << 32) | fresh
                    singles[code] = held
                    fresh += 1
                unit_id = held & 0xFFFFFFFF
            else:
                unit_id = find_id(codes, heads, keys, slots, stamp, size - 1, i, end, high, code, fresh)
                if unit_id == fresh:
                    fresh += 1
            if unit != PUNCTUATION:
                content += 1
            starts[u] = i
            ends[u] = end
            kinds[u] = unit
            gaps[u] = gap
            ids[u] = unit_id
            u += 1
            gap = JOINED
            i = end
        units.offsets[d + 1] = u
        units.distinct[d] = fresh
        units.widths[d] = longest
        units.contents[d] = content


HELPERS = (is_ordinal, scan_word, scan_marks, scan_other, find_id)
"""What :func:`split_units` calls, for the compiler."""
