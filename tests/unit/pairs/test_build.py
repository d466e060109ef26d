"""Pairs teach what went wrong, from the model's own words, and never the test."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cases.model import Message
from harness.engines.base import Request
from harness.engines.scripted import ScriptedEngine
from harness.errors import DataError
from harness.judging.results import CaseResult, Status, Verdict
from harness.judging.verdict import judge
from harness.metrics import repetition, score
from harness.metrics.types import Loop
from harness.models.prompts import PromptRenderer
from harness.models.target import Target
from harness.pairs import (
    Pair,
    build_pairs,
    check_pairs,
    loop_copy,
    pairs_of_case,
    trim_loop,
)
from harness.pairs.candidates import Candidates, draw_candidates, refuses
from harness.pairs.ends import early_end
from harness.pairs.prompts import same_prompt, varied
from harness.pairs.replay_prompts import EVERYDAY, ORDINARY, Ordinary
from harness.project.manifest import Adapter
from harness.project.sampling import Sampling
from harness.store import Store
from tests.support.builders import attempt, case, looped, pair, result
from tests.support.projects import make_model
from trainers.examples import FeedbackExample, stage_examples


def drawn(folder: Path, failed: CaseResult, answer: Callable[[Request], str]) -> Candidates:
    """Candidates of one failing result, from an engine that says ``answer``."""
    make_model(folder / "model")
    with Store(folder / "harness.sqlite") as store:
        renderer = PromptRenderer(folder / "model", store)
        target = Target(
            adapter=Adapter(name="v4.0", model="tiny"),
            model_path=folder / "model",
            model_digest="0",
            renderer=renderer,
            weights=None,
        )
        sampling = Sampling(continuations=0)
        return draw_candidates([failed], target, store, sampling, lambda _: ScriptedEngine(answer))


LOOPING, LOOPS = looped("The sea is blue. ", "The waves roll in. ", 40)
CLEAN = "The sea is wide. It sings at night. The sailors sleep."


def test_a_trimmed_loop_keeps_prefix_and_some_copies() -> None:
    """Onset and a few periods stay; the tail, which would drown them, goes."""
    assert trim_loop(LOOPING, LOOPS[0], 4) == "The sea is blue. " + "The waves roll in. " * 4


def test_a_short_loop_is_kept_whole() -> None:
    """There is nothing to trim where the loop has fewer copies than are kept."""
    text, loops = looped("Well. ", "Yes. ", 3)
    assert trim_loop(text, loops[0], 4) == text


@given(st.text(min_size=1, max_size=40), st.integers(5, 60), st.integers(1, 8))
def test_a_trimmed_loop_is_a_beginning_of_the_answer(unit: str, copies: int, keep: int) -> None:
    """Nothing is invented: the rejected answer is what the model said, up to a point."""
    answer = "x" + unit * copies
    loop = Loop(start=1, end=len(answer), period=len(unit), copies=float(copies))
    trimmed = trim_loop(answer, loop, keep)
    assert answer.startswith(trimmed)
    assert len(trimmed) >= 1 + len(unit)


def test_a_looped_copy_loops() -> None:
    """The replay pair's rejected answer is found to repeat itself, and begins like the clean one."""
    copy = loop_copy(CLEAN, copies=8)
    assert copy.startswith(CLEAN)
    assert repetition(copy).loops


def test_chosen_are_the_standard_answer_and_the_models_own() -> None:
    """Every preferred answer is paired with a rejected one of the model's."""
    failed = result(answer=LOOPING, loops=LOOPS)
    pairs = pairs_of_case(failed, ["Own words."], ["The sea is blue. And calm."])
    assert [p.origin for p in pairs] == ["standard", "own", "standard", "branch"]
    assert [p.rejected for p in pairs] == [trim_loop(LOOPING, LOOPS[0], copies) for copies in (4, 2, 8, 4)]
    assert not any(p.rejected_finished for p in pairs)


def test_replay_keeps_what_passed() -> None:
    """Passing cases of role fix give pairs of their own answer against a worse one, at most a third."""
    failed = [result(case(f"badcase1/f{i}"), LOOPING, LOOPS) for i in range(40)]
    passed = [result(case(f"badcase1/p{i}"), CLEAN) for i in range(90)]
    pairs = build_pairs(failed, passed, {}, {}, {}, replay=0.3)
    replay = [p for p in pairs if p.origin == "replay"]
    assert len(replay) == 51
    assert {p.chosen for p in replay if p.case_id.startswith("badcase1/")} == {CLEAN}


@pytest.mark.parametrize(
    ("unended", "ended", "early"),
    [(12, 0, 0.0), (9, 3, 0.0), (3, 9, 1 / 3), (3, 57, 0.4667)],
    ids=["none ends", "a quarter ends", "a quarter does not", "nearly all end"],
)
def test_replay_punishes_ending_early_where_most_answers_end(unended: int, ended: int, early: float) -> None:
    """A model that never ends must learn to; one that does would learn terseness, if every pair said "end sooner"."""
    failed = [result(case(f"badcase1/f{i}"), LOOPING, LOOPS, finish_reason="length") for i in range(unended)]
    passed = [result(case(f"badcase1/p{i}"), CLEAN) for i in range(ended)]
    own = {o.id: CLEAN for o in (*ORDINARY, *EVERYDAY)}
    replay = [p for p in build_pairs(failed, passed, {}, {}, {}, ordinary=own) if p.origin == "replay"]
    found = [p for p in replay if p.rejected_finished]
    assert len(found) == round(len(replay) * early)
    assert all(p.chosen.startswith(p.rejected) and p.fault_at == len(p.rejected) < len(p.chosen) for p in found)
    assert all(p.rejected.startswith(p.chosen) for p in replay if not p.rejected_finished)


def test_early_ends_outweigh_the_ends() -> None:
    """Beside the looped copies, after the first sentence, after half of them, and before the last one."""
    answer = "The sea is wide. It sings at night. The sailors sleep. Waves are high. Wind blows and then it"
    failed = [
        result(case(f"badcase1/f{i}"), answer, verdict=Verdict(Status.FAIL, ()), finish_reason="length")
        for i in range(40)
    ]
    own = {o.id: "One. Two. Three. Four." for o in (*ORDINARY, *EVERYDAY)}
    pairs = build_pairs(failed, [], {}, {}, {}, ordinary=own)
    ends = [p for p in pairs if p.origin == "end"]
    early = [p for p in pairs if p.origin == "replay" and p.rejected_finished]
    assert (len(ends), len(early)) == (5, 10)
    assert {p.rejected for p in early} == {"One.", "One. Two.", "One. Two. Three."}


@pytest.mark.parametrize(("share", "ended"), [(0.0, "One."), (0.5, "One. Two."), (1.0, "One. Two. Three.")])
def test_an_early_end_may_come_earlier_or_later(share: float, ended: str) -> None:
    """A share of the sentences before the last one, at least one of them."""
    assert early_end("One. Two. Three. Four.", share) == ended


@pytest.mark.parametrize(
    ("answer", "ended"),
    [
        ("One. Two. Three. Four.", "One. Two."),
        ("One 3.5 two", None),
        ("只有一句。", None),
        ("一句。两句。三句。", "一句。"),
        ("a = 1\nb = 2\n\nc = 3", "a = 1"),
        ("", None),
    ],
)
def test_an_early_end_is_the_first_half_of_the_sentences(answer: str, ended: str | None) -> None:
    """At least one of them, and never all."""
    assert early_end(answer) == ended


def test_few_failing_cases_are_not_all_that_is_trained_on() -> None:
    """One failing case in forty updates would else be all that the model knows."""
    failed = [result(case("badcase1/f"), LOOPING, LOOPS)]
    pairs = build_pairs(failed, [], {}, {}, {}, ordinary={o.id: CLEAN for o in EVERYDAY})
    assert sum(p.origin == "replay" for p in pairs) == 32
    assert sum(p.chosen == CLEAN for p in pairs) == 22


def test_what_stands_in_for_passing_cases_is_the_models_own_answer() -> None:
    """The answers that are bundled are another's, and shorter; they are for prompts to which the model has none."""
    failed = [result(case(f"badcase1/f{i}"), LOOPING, LOOPS) for i in range(9)]
    own = {ORDINARY[0].id: "The model's table.", EVERYDAY[0].id: "The model's fact."}
    replay = [p for p in build_pairs(failed, [], {}, {}, {}, ordinary=own) if p.origin == "replay"]
    chosen = {p.case_id: p.chosen for p in replay}
    assert chosen[ORDINARY[0].id] == "The model's table."
    assert chosen[EVERYDAY[0].id] == "The model's fact."
    assert not chosen.keys() & {o.id for o in EVERYDAY[1:]}


def test_bundled_prompts_are_answered_by_the_model_itself(tmp_path: Path) -> None:
    """Clean answers are kept, looping ones are not."""
    failed = result(answer=LOOPING, loops=LOOPS)
    found = drawn(tmp_path, failed, lambda request: LOOPING if request.id % 2 else CLEAN).ordinary
    assert set(found.values()) == {CLEAN}
    assert len({*found} & {o.id for o in EVERYDAY}) == len(EVERYDAY) / 2


@pytest.mark.parametrize("role", ["holdout", "guard"])
def test_protected_cases_give_no_pairs(role: str) -> None:
    """Whatever is passed in, holdout and guard cases are not trained on."""
    of = case(role=role)  # type: ignore[arg-type]
    assert build_pairs([result(of, LOOPING, LOOPS)], [result(of, CLEAN)], {}, {}, {}) == ()


def test_a_case_that_fails_otherwise_rejects_its_answer_as_it_stands() -> None:
    """A wrong answer without a loop is rejected whole."""
    failed = result(answer="Nonsense.", verdict=Verdict(Status.FAIL))
    (made,) = pairs_of_case(failed, [])
    assert made.rejected == "Nonsense."


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([pair(chosen=" ")], "chosen is empty"),
        ([pair(rejected="")], "rejected is empty"),
        ([pair(chosen="Same.", rejected="Same. ")], "chosen and rejected are the same"),
        ([pair(), pair(chosen="Bad bad.", rejected="Other.")], "both chosen and rejected"),
        ([pair(case_id="badcase1/sea")], "a guard case may not be trained on"),
        ([pair(prompt="write a poem  about the SEA.")], "its prompt is that of the guard case badcase1/sea"),
    ],
    ids=["chosen", "rejected", "equal", "contradiction", "id", "prompt"],
)
def test_wrong_pairs_abort(pairs: list[Pair], message: str) -> None:
    """A pair that teaches nothing, wrongly or the test is told before a minute is spent."""
    with pytest.raises(DataError, match=message):
        check_pairs(pairs, [case(role="guard")])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Write a poem about the sea.", "Write a poem about the moon."),
        ("Write a poem about the rain.", "Write a poem about a train."),
        ("List 20 fruits.", "List 30 fruits."),
        ("写一首关于春天的诗。", "写一首关于秋天的诗。"),
        ("一年级学什么？", "二年级学什么？"),
        ("Dear assistant, read the order below with care and answer the customer by name. Order 11, a lamp.",
         "Dear assistant, read the order below with care and answer the customer by name. Order 12, a sofa."),
    ],
    ids=["subject", "alike", "number", "chinese", "chinese-number", "long-template"],
)  # fmt: skip
def test_sibling_prompts_are_no_contamination(one: str, other: str) -> None:
    """A holdout sibling may differ by its subject alone, however long what they share is."""
    check_pairs([pair(prompt=one)], [case(prompt=other, role="holdout")])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Please write a poem about the sea!", "Write a poem about the sea."),
        ("Hello! Could you write a poem about the sea? Thanks", "Write a poem about the sea."),
        ("Write a peom about the sea.", "Write a poem about the sea."),
        ("About the sea, write a poem.", "Write a poem about the sea."),
        ("请写一首关于春天的诗，谢谢。", "写一首关于春天的诗。"),
        ("ＷＲＩＴＥ a poem about the sea", "Write a poem about the sea."),
    ],
    ids=["polite", "very-polite", "typo", "order", "chinese", "width"],
)
def test_a_prompt_that_is_all_but_a_protected_one_aborts(one: str, other: str) -> None:
    """Politeness, marks, order and typing errors make no other prompt."""
    with pytest.raises(DataError, match="its prompt is that of the holdout case"):
        check_pairs([pair(prompt=one)], [case(prompt=other, role="holdout")])


def test_the_last_turn_alone_does_not_make_a_prompt() -> None:
    """ "Go on." after two different questions is not the same prompt."""
    first = (Message("user", "Tell me of Rome."), Message("assistant", "Yes."), Message("user", "Go on."))
    other = dataclasses.replace(case(role="guard"), messages=(Message("user", "Name the planets."), *first[1:]))
    check_pairs([dataclasses.replace(pair(), messages=first)], [other])


@pytest.mark.parametrize("text", ["Write a poem.", "写一首诗。", "How do I fix a tyre?"], ids=["en", "zh", "question"])
@pytest.mark.parametrize("number", range(3))
def test_a_varied_prompt_is_the_same_prompt(text: str, number: int) -> None:
    """Variation asks nothing else: the contamination check still knows it."""
    made = varied((Message("user", text),), number)
    assert made is not None
    assert made[-1].content != text
    assert same_prompt(made, (Message("user", text),))


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", "Sum up: the text"),),
        (Message("user", "What does `ls` do?"),),
        (Message("user", "One line\nand another"),),
        (Message("user", "Hi"), Message("assistant", "Hi"), Message("user", "Go on.")),
    ],
    ids=["template", "code", "lines", "turns"],
)
def test_a_prompt_that_may_depend_on_its_wording_is_not_varied(messages: tuple[Message, ...]) -> None:
    """Only a single plain line is surely safe."""
    assert varied(messages, 0) is None


def test_one_prompt_in_three_is_varied() -> None:
    """The standard answer stands under the exact prompt, some own answers under a varied one."""
    pairs = pairs_of_case(result(answer=LOOPING, loops=LOOPS), ["One.", "Two."])
    assert [p.prompt for p in pairs] == ["Write a poem about the sea."] * 2 + ["Hello! Write a poem about the sea."]


def test_a_branch_stands_against_the_answer_that_it_left() -> None:
    """What the two share cancels, so the rejected answer must begin as the branch does."""
    other, other_loops = looped("Stars. ", "They shine on. ", 30)
    failed = result(answer=LOOPING, loops=LOOPS)
    pairs = pairs_of_case(failed, ["Own."], ["The sea is blue. And calm."], [attempt(other, other_loops, sample=1)])
    assert pairs[-1].rejected.startswith("The sea is blue. ")


def test_a_rejected_answer_without_a_loop_is_bounded() -> None:
    """What was cut has no end of turn."""
    failed = result(answer="Nonsense. " * 900, verdict=Verdict(Status.FAIL), finish_reason="stop")
    (made,) = pairs_of_case(failed, [])
    assert len(made.rejected) <= 2_400
    assert not made.rejected_finished


def test_what_was_cut_off_is_rejected_and_not_replayed() -> None:
    """An answer that never ended is none to imitate, though it passed: the standard answer is."""
    failed = [result(case(f"badcase1/f{i}"), LOOPING, LOOPS) for i in range(9)]
    passed = [result(case(f"badcase1/p{i}"), CLEAN, finish_reason="length") for i in range(12)]
    pairs = build_pairs(failed, passed, {}, {}, {})
    assert all(p.case_id.startswith("(bundled)/") for p in pairs if p.origin == "replay")
    rejected = [p for p in pairs if p.rejected == CLEAN]
    assert len(rejected) == 6
    assert {(p.chosen, p.rejected_finished) for p in rejected} == {(case().standard_answer, False)}


@pytest.mark.parametrize("answer", ["\n \n", "The sea."], ids=["empty", "the standard answer"])
def test_a_cut_off_answer_that_teaches_nothing_is_left_out(answer: str) -> None:
    """Else the pair would be refused, and the fix with it."""
    failed = [result(case("badcase1/f"), LOOPING, LOOPS)]
    passed = [result(case("badcase1/p", standard_answer="The sea."), answer, finish_reason="length")]
    assert "badcase1/p" not in {p.case_id for p in build_pairs(failed, passed, {}, {}, {})}


def test_replay_keeps_answers_that_repeat_themselves_by_right() -> None:
    """Bundled tables and refrains, and passing answers that repeat most, are among the replayed ones."""
    failed = [result(case(f"badcase1/f{i}"), LOOPING, LOOPS) for i in range(40)]
    passed = [result(case(f"badcase1/p{i}"), CLEAN, values={"rep4": i / 100}) for i in range(60)]
    replay = [p for p in build_pairs(failed, passed, {}, {}, {}, replay=0.3) if p.origin == "replay"]
    assert len(replay) == 51
    assert replay[0].case_id == "badcase1/p59"
    assert sum(p.case_id.startswith("(bundled)/") for p in replay) == 9


@pytest.mark.parametrize("one", ORDINARY, ids=lambda o: o.name)
def test_bundled_answers_pass_and_their_copies_do_not(one: Ordinary) -> None:
    """What is kept as chosen is judged good, what stands against it is a repeater."""
    of = case(prompt=one.prompt, standard_answer=one.answer)
    assert judge(of, score(one.answer, of), "stop").status is Status.PASS
    assert judge(of, score(loop_copy(one.answer, 40), of), "length").repeater


def test_bundled_prompts_that_are_protected_are_left_out() -> None:
    """A guard that asks the same is no reason to abort."""
    failed = [result(case(f"badcase1/f{i}"), LOOPING, LOOPS) for i in range(16)]
    guards = [case(f"badcase1/g{i}", prompt=o.prompt, role="guard") for i, o in enumerate(ORDINARY[:8])]
    pairs = build_pairs(failed, [], {}, {}, {}, protected=guards)
    check_pairs(pairs, guards)
    assert sum(p.origin == "replay" for p in pairs) == len(ORDINARY) - 8


def test_samples_that_loop_give_further_rejected_answers() -> None:
    """What the model says when sampled is rejected too, each kept with another number of copies."""
    other, other_loops = looped("Stars. ", "They shine on. ", 30)
    failed = result(answer=LOOPING, loops=LOOPS)
    pairs = pairs_of_case(failed, ["Own."], [], [attempt(other, other_loops, sample=1)])
    assert [p.rejected for p in pairs[:2]] == [trim_loop(LOOPING, LOOPS[0], 4), trim_loop(other, other_loops[0], 2)]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("海很大，很蓝，海浪一直在唱歌。船上的人听着歌睡着了，梦见了家。", True),
        ("I am sorry for any misunderstanding, but I cannot write this poem for you today.", False),
        ("海。", False),
        ("抱歉，我没有见过大海，写不出这首诗，请您原谅。", False),
    ],
    ids=["like", "other-language", "too-short", "refusal"],
)
def test_chosen_answers_are_like_the_standard_answer(tmp_path: Path, text: str, kept: bool) -> None:
    """An answer in another language, or of another length altogether, is clean and no cure."""
    of = case(
        prompt="写一首海的诗。",
        standard_answer="大海宽又蓝，白浪唱着歌。水手回家晚，灯塔亮一夜。星星落海面，小船轻轻摇。",
    )
    failed = result(of, LOOPING, LOOPS)
    assert drawn(tmp_path, failed, lambda _: text).clean.get(of.id, ()) == ((text,) if kept else ())


@pytest.mark.parametrize(
    ("text", "declines"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("As an AI language model, I have no feelings.", True),
        ("很抱歉，我不能写。", True),
        ("I can tell you three things.", False),
        ("The sailor said: I am sorry.", False),
        ("", False),
    ],
)
def test_refusals_are_known_by_how_they_begin(text: str, declines: bool) -> None:
    """An answer that declines is clean and no cure; one that tells of it is neither."""
    assert refuses(text) is declines


def test_few_cases_get_more_answers(tmp_path: Path) -> None:
    """Variety must come from somewhere: with few prompts, from more answers to each."""
    sampling = Sampling()
    assert sampling.for_cases(3).answers > sampling.answers
    assert sampling.for_cases(300) == sampling


class Letters:
    """A renderer whose ids are code points; 0 ends a turn."""

    end_of_turn = 0
    chat_template = None
    chat_template_kwargs: Mapping[str, Any] = {}

    def prompt_ids(
        self, messages: Sequence[Message], chat_template_kwargs: Mapping[str, Any] | None = None
    ) -> tuple[int, ...]:
        assert not chat_template_kwargs
        return self.answer_ids(messages[-1].content)

    def answer_ids(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_no_stage_trains_down_an_end_that_never_was(stage: str) -> None:
    """A rejected answer that was cut off has no end of turn, one that the model ended has; chosen ones always do."""
    pairs = (pair(), dataclasses.replace(pair(), rejected="Bad.", rejected_finished=True))
    answers = {
        "".join(map(chr, text))
        for example in stage_examples(stage, pairs, Letters())
        for text in ([example.answer] if isinstance(example, FeedbackExample) else [example.chosen, example.rejected])  # type: ignore[union-attr]
    }
    assert answers == {"Good.\0", "Bad bad.", "Bad.\0"}


def test_sft_learns_each_chosen_answer_once() -> None:
    """A chosen answer that stands against several rejected ones is no more true for it."""
    pairs = (pair(), pair(rejected="Worse."), pair(chosen="Fine."))
    assert [bytes(e.rest).decode() for e in stage_examples("sft", pairs, Letters())] == ["Good.\0", "Fine.\0"]  # type: ignore[union-attr]


def test_kto_likes_and_dislikes_each_answer_once() -> None:
    """Liked and disliked stay balanced by what there is, not by how it was paired."""
    pairs = (pair(), pair(rejected="Worse."), pair(chosen="Fine."))
    labels = [e.label for e in stage_examples("kto", pairs, Letters()) if isinstance(e, FeedbackExample)]
    assert (labels.count(True), labels.count(False)) == (2, 2)


def test_a_case_without_clean_answers_weighs_as_much() -> None:
    """Its standard answer stands against several of the model's answers, each once."""
    other, other_loops = looped("Stars. ", "They shine on. ", 30)
    failed = result(answer=LOOPING, loops=LOOPS)
    pairs = pairs_of_case(failed, [], [], [attempt(other, other_loops, sample=1)])
    assert [p.origin for p in pairs] == ["standard"] * 3
    assert len({p.rejected for p in pairs}) == 3


@pytest.mark.parametrize(("clean", "asked"), [(True, 5), (False, 10)], ids=["enough", "not enough"])
def test_a_case_with_enough_clean_answers_gets_no_more_samples(tmp_path: Path, clean: bool, asked: int) -> None:
    """The second half of the samples is for cases whose first half did not give as many as are kept."""
    failed = result(answer=LOOPING, loops=LOOPS)
    samples: list[Request] = []

    def answer(request: Request) -> str:
        if request.decoding.method == "sample" and request.decoding.samples == 10:
            samples.append(request)
            return (
                f"{'abcdefghij'[request.sample] * 9} is a word for what lies {request.sample} miles out."
                if clean
                else LOOPING
            )
        return LOOPING

    drawn(tmp_path, failed, answer)
    assert [r.sample for r in samples] == list(range(asked))
