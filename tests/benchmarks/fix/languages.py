"""``python -m tests.benchmarks.fix.languages``: how well a model knows each language of the suite.

The base model, without any adapter, reads the standard answers of the suite after their questions. By language:

    nats a byte     negative log-likelihood of the answers' UTF-8 bytes
    first guesses   share of the tokens that are the model's most likely next one
    tokens a character

It is the evidence for showing a language apart in ``make bench-fix``: a model that knows a language badly does not
learn from a few pairs where its answers end. It takes a minute or two on 2 cores.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cases import read_suite
from harness.cases.model import Case
from harness.models.embedded import embedded_model
from harness.models.prompts import PromptRenderer
from tests.benchmarks.fix.kinds import KINDS, SUITE, make_suite


@dataclass(slots=True, kw_only=True)
class Known:
    """Sums over the answers of one language."""

    answers: int = 0
    nats: float = 0.0
    tokens: int = 0
    guessed: int = 0
    characters: int = 0
    bytes: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fix.languages", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--model", type=Path, help="folder of a model; default: the embedded one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-fix-") as place:
        make_suite(KINDS["repetition"], SUITE, Path(place))
        cases = read_suite(Path(place))
    known = read_answers(args.model or embedded_model("smollm2-135m-instruct"), cases)
    print(f"{platform.machine()}, {sum(k.answers for k in known.values())} standard answers")
    for language, sums in sorted(known.items()):
        print(
            f"{language}: {sums.answers} answers, {sums.nats / sums.bytes:.2f} nats a byte, "
            f"{sums.guessed / sums.tokens:.0%} first guesses, {sums.tokens / sums.characters:.2f} tokens a character"
        )
    return 0


def read_answers(model_path: Path, cases: Sequence[Case]) -> dict[str, Known]:
    """What the model makes of each case's standard answer, by language (tag ``zh``, or else ``en``)."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).eval()
    renderer = PromptRenderer(model_path)
    known: dict[str, Known] = defaultdict(Known)
    for case in cases:
        if not case.standard_answer:
            continue
        prompt = list(renderer.prompt_ids(case.messages, case.chat_template_kwargs))
        answer = list(renderer.answer_ids(case.standard_answer))
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        wanted = torch.tensor(answer)
        sums = known["zh" if "zh" in case.tags else "en"]
        sums.answers += 1
        sums.nats += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
        sums.guessed += int((logits.argmax(-1) == wanted).sum())
        sums.tokens += len(answer)
        sums.characters += len(case.standard_answer)
        sums.bytes += len(case.standard_answer.encode())
    return dict(known)


if __name__ == "__main__":
    raise SystemExit(main())
