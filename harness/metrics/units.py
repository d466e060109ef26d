"""Text into mixed units: what repetition is counted in.

One unit is one CJK character, one word of a script that writes words apart (Latin, Cyrillic, Greek, Arabic, Hangul
...), one run of digits, or one punctuation mark or symbol. Never whitespace splitting: it sees nothing in Chinese.
Thai, Lao, Khmer and Burmese write no spaces: one unit is a consonant with its vowels and marks. An emoji sequence
(skin tone, joiner, variation selector) is one unit, and so is a drawn line: four or more of one mark in a row
(``-----``, ``=====``, leader dots), which is typography, as long as a table is wide. Chinese numerals count as digits
only where they number something (``第三，`` or ``三、`` at the start of a clause), since 一 is also the commonest word
for "a"; so does a letter that labels a line (``A.`` or ``b)``).

The kernel below is plain Python on integer arrays, so that the same source runs interpreted on lists and compiled on
numpy arrays with equal results (harness/metrics/kernels.py). Given up: dictionaries and segmenters (slow, and a
version of them would change scores), case folding, Unicode normalisation (a loop repeats itself byte for byte).
"""

from __future__ import annotations

import unicodedata
from collections.abc import MutableSequence, Sequence
from functools import cache

__all__ = ["DRAWABLE", "NUMBER", "PUNCTUATION", "WORD", "Ints", "character_classes", "split_units"]

Ints = MutableSequence[int]
"""A list of int, or a numpy array of an integer type."""

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


def split_units(
    docs: int,
    codes: Sequence[int],
    bounds: Sequence[int],
    classes: Sequence[int],
    starts: Ints,
    ends: Ints,
    kinds: Ints,
    gaps: Ints,
    ids: Ints,
    offsets: Ints,
    distinct: Ints,
    widths: Ints,
    contents: Ints,
    heads: Ints,
    keys: Ints,
    singles: Ints,
    slots: Ints,
    state: Ints,
) -> None:
    """Units of a batch of texts.

    Arrays:
        docs: number of texts.
        codes: code points of all texts, one after the other.
        bounds: ``docs + 1`` offsets into ``codes``.
        classes: class of every code point (:func:`character_classes`).
        starts, ends: out, per unit: offsets into ``codes``.
        kinds: out, per unit: WORD, NUMBER or PUNCTUATION.
        gaps: out, per unit: JOINED, APART or NEW_LINE, by what stands before it.
        ids: out, per unit: equal within a text exactly when the units are equal; 1, 2 ... by first appearance.
        offsets: out, ``docs + 1`` offsets into the unit arrays.
        distinct, widths: out, per text: one more than its different units, and its longest unit in characters.
        contents: out, per text: units that are words or numbers.
        heads, keys: scratch, one a unit and one more: where an id first stands, and the key that it is looked up by.
        singles: scratch, ``SINGLES`` long: ids of units of one character, by code point.
        slots: scratch hash table, a power of two, at least twice the characters of the longest text. More of them than
            there are characters are used: never full, and small enough to stay near.
        state: ``state[0]`` is the last stamp used in a hash table; a stamp is never used twice, so nothing is cleared.
    """
    u = 0
    offsets[0] = 0
    for d in range(docs):
        low = bounds[d]
        high = bounds[d + 1]
        size = 16
        while size <= high - low:
            size *= 2
        mask = size - 1
        state[0] += 1
        stamp = state[0]
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
                # Nearly all of a Chinese text; below it would take half as long again.
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
            j = i + 1
            unit = PUNCTUATION
            if kind == LETTER:
                unit = WORD
                while j < high:
                    c = codes[j]
                    k = classes[c]
                    if k > JOINER or k == SPACE:
                        if k != APOSTROPHE or j + 1 >= high or classes[codes[j + 1]] != LETTER:
                            break
                    # 40 bits times 20 bits stay below 2**63: equal in Python and in compiled arithmetic.
                    code = (code * 1000003 + c) & 0xFFFFFFFFFF
                    j += 1
                if j == i + 1 and gap == NEW_LINE and j < high and code < 128 and (codes[j] == 46 or codes[j] == 41):
                    unit = NUMBER
            else:
                if kind == SINGLE or kind == ORDINAL:
                    unit = WORD
                elif kind == DIGIT:
                    unit = NUMBER
                    while j < high and classes[codes[j]] == DIGIT:
                        j += 1
                elif kind == NUMERAL:
                    unit = WORD
                    k = j
                    while k < high and classes[codes[k]] == NUMERAL:
                        k += 1
                    before = SPACE if i == low else classes[codes[i - 1]]
                    after = SPACE if k == high else classes[codes[k]]
                    apart = before == SPACE or before == SYMBOL or before >= CLOSER
                    if before == ORDINAL or (apart and (after == CLOSER or after == STOP)):
                        unit = NUMBER
                        j = k
                elif kind == LEAD:
                    unit = WORD
                    if j < high and classes[codes[j]] == SINGLE:
                        j += 1
                elif kind == RULE or kind == STOP:
                    k = j
                    while k < high and codes[k] == code:
                        k += 1
                    if k - i >= DRAWN:
                        j = k
                if kind != DIGIT and unit != NUMBER:
                    while j < high:
                        k = classes[codes[j]]
                        if k == MARK:
                            j += 1
                        elif k == JOINER:
                            j += 1
                            if j < high and classes[codes[j]] == SYMBOL:
                                j += 1
                        else:
                            break
                for k in range(i + 1, j):
                    code = (code * 1000003 + codes[k]) & 0xFFFFFFFFFF
            length = j - i
            if length > longest:
                longest = length
            unit_id = 0
            if length == 1 and code < SINGLES:
                held = singles[code]
                if held >> 32 == stamp:
                    unit_id = held & 0xFFFFFFFF
                else:
                    unit_id = fresh
                    singles[code] = (stamp << 32) | fresh
                    fresh += 1
            else:
                key = code << 8 | (length & 0xFF)
                slot = (code ^ (code >> 17)) & mask
                while unit_id == 0:
                    held = slots[slot]
                    if held >> 32 != stamp:
                        unit_id = fresh
                        heads[fresh] = i
                        keys[fresh] = key
                        slots[slot] = (stamp << 32) | fresh
                        fresh += 1
                        break
                    other = held & 0xFFFFFFFF
                    if keys[other] == key:
                        # Equal by hash and, up to 255 characters, length; now by text.
                        first = heads[other]
                        k = 0
                        while k < length and first + k < high and codes[first + k] == codes[i + k]:
                            k += 1
                        if k == length:
                            unit_id = other
                    slot = (slot + 1) & mask
            if unit != PUNCTUATION:
                content += 1
            starts[u] = i
            ends[u] = j
            kinds[u] = unit
            gaps[u] = gap
            ids[u] = unit_id
            u += 1
            gap = JOINED
            i = j
        offsets[d + 1] = u
        distinct[d] = fresh
        widths[d] = longest
        contents[d] = content
