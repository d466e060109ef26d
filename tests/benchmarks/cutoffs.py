"""What becomes of answers that are cut off at max_tokens without a loop: do they end soundly, or do they never end?

Every case of the project's suite is answered greedily by the model as shipped, with eight times the usual room. At each
limit, the answer's beginning is judged as a run with that limit would judge it. Of those that are cut off and pass, the
whole answer says what they were: it ends by itself and passes, it loops later, or it still does not end. Writes
reports/bench/cutoffs.json. Run it with ``make bench-cutoffs``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from harness.cases.decoding import Decoding
from harness.cases.model import Case
from harness.engines import open_engine
from harness.engines.base import Completion, Request
from harness.judging.results import Status
from harness.judging.verdict import judge
from harness.metrics import score
from harness.models.folder import locate_model
from harness.models.prompts import PromptRenderer
from harness.project.manifest import read_manifest
from harness.project.settings import read_settings
from harness.project.suite import project_cases
from harness.safe.files import write_text

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "reports" / "bench" / "cutoffs.json"
LIMITS = (256, 512, 1024)
ROOM = 2048


def main(engine_name: str = "vllm") -> int:
    settings = read_settings(ROOT)
    model = locate_model(read_manifest(settings.manifest_path).model_of("v4.0"), ROOT)
    renderer = PromptRenderer(model)
    decoding = Decoding(method="greedy", max_tokens=ROOM, early_fail=False)
    cases = project_cases(settings)
    engine = open_engine(engine_name, model, max_model_len=ROOM + 1024)
    requests = [
        Request(id=at, prompt_ids=renderer.prompt_ids(case.messages), decoding=decoding)
        for at, case in enumerate(cases)
    ]
    try:
        answers = {o.request_id: o for o in engine.generate(requests) if isinstance(o, Completion)}
    finally:
        engine.close()
    rows = {}
    for limit in LIMITS:
        fates: Counter[str] = Counter()
        cut = 0
        for at, case in enumerate(cases):
            ids = answers[at].token_ids
            if len(ids) < limit:
                continue
            cut += 1
            beginning = renderer.tokenizer.decode(ids[:limit], skip_special_tokens=True)
            if judge(case, score(beginning, case, tokens=ids[:limit]), "length").status is Status.PASS:
                fates[_fate(answers[at], case)] += 1
        rows[limit] = {"cases": len(cases), "cut_off": cut, "of_them_passing": sum(fates.values()), **fates}
        print(limit, json.dumps(rows[limit]))
    write_text(OUT, json.dumps({"model": model.name, "decoding": f"greedy, {ROOM} tokens", "limits": rows}, indent=1))
    return 0


def _fate(answer: Completion, case: Case) -> str:
    verdict = judge(case, score(answer.text, case, tokens=answer.token_ids), answer.finish_reason)
    if verdict.repeater:
        return "loops later"
    if answer.finish_reason == "length":
        return "never ends"
    return "ends and passes" if verdict.status is Status.PASS else "ends and fails otherwise"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
