"""The harness's own part of making data ready, alone in a process so that its memory can be measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness.models.embedded import embedded_model
from harness.models.prompts import PromptRenderer
from harness.safe.files import write_text
from trainers.examples import write_examples
from trainers.formats import Source
from trainers.recipe import named_recipe
from trainers.rendering import render_records


def main(source: Path, folder: Path) -> int:
    renderer = PromptRenderer(embedded_model("smollm2-135m-instruct"))
    records = iter(Source(paths=[source], stage="dpo"))
    data = write_examples(render_records(records, renderer, "dpo"), folder, named_recipe("fix"))
    job: dict[str, object] = {
        "arguments": {}, "dataset": str(folder / "dataset"), "examples": str(data.train), "validation": None,
        "progress": str(folder / "progress.jsonl"), "rows": data.rows, "tokens": data.tokens, "owner": None,
    }  # fmt: skip
    write_text(folder / "job.json", json.dumps(job))
    write_text(folder / "facts.json", json.dumps({"rows": data.rows, "tokens": data.tokens}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
