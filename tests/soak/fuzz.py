"""Coverage-guided fuzzing of every reader of files: each input gives a value or an error of the harness's own.

    python -m tests.soak.fuzz READER [SECONDS]     (default: 60; needs the package atheris, in any environment)

An input on which another exception escapes, or which takes over ten seconds, is written to reports/fuzz/READER and ends
the run with an error. READER is one of :data:`READERS`, or ``all``, which runs each in a process of its own.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["harness", "trainers"]):
    from harness.cases.folder import read_folder
    from harness.engines.fingerprint import Fingerprint
    from harness.engines.process import last_words
    from harness.engines.server import replies
    from harness.errors import HarnessError
    from harness.judging.results import CaseResult
    from harness.migrate.answers import read_answers
    from harness.migrate.inference import read_inference
    from harness.models.adapters.config import read_config
    from harness.models.adapters.tensors import read_header, read_notes
    from harness.models.description import describe_model
    from harness.pairs.files import import_pairs
    from harness.project.manifest import read_manifest
    from harness.project.settings import read_settings
    from harness.reports.json_report import read_report
    from harness.runs.sessions import unfinished_sessions
    from harness.safe.records import load
    from harness.store import Store
    from harness.suite.baseline import read_baseline
    from harness.triage.logs import inspect_logs, scan_logs
    from trainers.dataset_info import registered
    from trainers.formats import Source
    from trainers.recipe import named_recipe

OUT = Path(__file__).resolve().parents[2] / "reports" / "fuzz"
HERE = Path(tempfile.mkdtemp(prefix="harness-fuzz-"))


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """A reader of a file with the fuzzed content."""
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)

    def run(data: bytes) -> object:
        path.write_bytes(data)
        return read(path)

    return run


def _training(stage: str) -> Callable[[Path], object]:
    return lambda path: list(Source(paths=(path,), stage=stage))  # type: ignore[arg-type]


def _cases(name: str) -> Callable[[bytes], object]:
    return _file(f"{name.partition('.')[2]}/{name}", lambda path: read_folder(path.parent))


def _store(path: Path) -> object:
    with Store(path) as store:
        return store.runs(), store.trainings(), store.latest_results("v4.0")


def _logs(path: Path) -> object:
    logs = inspect_logs([path], lambda _: None)
    return scan_logs(logs, per_group=3, redacted=True, workers=1)


def _replies(body: bytes) -> None:
    """Every reader of what a server sends; each refuses by its own class."""
    readers: tuple[Callable[[], object], ...] = (
        lambda: replies.read_models(body),
        lambda: replies.read_version(body),
        lambda: replies.read_chunk(body, model="m", rows=2, most=8),
        lambda: replies.read_searched(body, model="m", most=8),
        lambda: replies.error_text(body),
    )
    for read in readers:
        with suppress(replies.Garbled, replies.Unreachable):
            read()


READERS: dict[str, Callable[[bytes], object]] = {
    "cases-json": _cases("test.json"),
    "cases-jsonl": _cases("test.jsonl"),
    "cases-csv": _cases("test.csv"),
    "cases-xlsx": _cases("test.xlsx"),
    "case-toml": _file("toml/case.toml", lambda path: read_folder(path.parent)),
    "manifest": _file("adapters_manifest.toml", read_manifest),
    "settings": _file("project/pyproject.toml", lambda path: read_settings(path.parent, environment={})),
    "recipe": _file("recipe.toml", lambda path: named_recipe(str(path))),
    "adapter-config": _file("adapter_config.json", read_config),
    "safetensors": _file("adapter_model.safetensors", lambda path: (read_header(path), read_notes(path))),
    "stored-result": lambda data: load(CaseResult, data.decode("utf-8", "replace")),
    "database": _file("store/harness.sqlite", _store),
    "baseline": _file("baseline.json", lambda path: read_baseline(path.name, path.parent)),
    "pairs": _file("pairs/pairs.json", import_pairs),
    "sft-csv": _file("sft/data.csv", _training("sft")),
    "kto-jsonl": _file("kto/data.jsonl", _training("kto")),
    "dataset-info": _file("registry/dataset_info.json", lambda path: registered(path.with_name("d.json"), "dpo")),
    "sessions": _file("reports/sessions/1.json", lambda path: unfinished_sessions(path.parents[1])),
    "engine-log": _file("engine.log", last_words),
    "server-reply": _replies,
    "log-lines": _file("logs/a.jsonl", _logs),
    "log-csv": _file("logs/a.csv", _logs),
    "log-text": _file("logs/server.log", _logs),
    "answers-csv": _file("answers/a.csv", read_answers),
    "answers-json": _file("answers/a.json", read_answers),
    "inference-script": lambda data: read_inference(data.decode("utf-8", "replace"), "Inference.py"),
    "report": _file("report/report.json", read_report),
    "report-lines": _file("report/report.jsonl.gz", read_report),
    "fingerprint": lambda data: load(Fingerprint, data.decode("utf-8", "replace")),
    "model-config": _file("model/config.json", lambda path: describe_model(path.parent)),
}
_TURNS = b'[{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]'
_SEEDS: dict[str, list[bytes]] = {
    "cases-json": [b'[{"id": "a", "text": "x", "standard_answer": "y", "tags": ["t"], "decoding": {"beam_width": 2}}]'],
    "cases-jsonl": [b'{"messages": [{"role": "user", "content": "x"}], "must_include": ["a"], "weight": 2}\n'],
    "cases-csv": [b"id,text,standard_answer,tags\na,x,y,t\n"],
    "case-toml": [b'tags = ["a"]\n[decoding]\nbeam_width = 2\n[thresholds.max_metrics]\na = 1\n'],
    "manifest": [b'[models."m"]\npath = "x"\n[adapters."v1"]\nmodel = "m"\nparent = "v0"\nsha256 = "a"\npath = "p"\n'],
    "settings": [b'[tool.harness]\nadapter = "a"\nmax_repetition = 0.1\n[tool.harness.decoding]\nbeam_width = 2\n'],
    "recipe": [b'lora_rank = 8\nepochs = 2.0\ngpus = "0-7"\n[environment]\nNCCL_DEBUG = "x"\n'],
    "adapter-config": [b'{"peft_type": "LORA", "r": 8, "lora_alpha": 16, "rank_pattern": {"q": 4}, "bias": "none"}'],
    "safetensors": [b'\x3c\0\0\0\0\0\0\0{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}\0\0\0\0'],
    "stored-result": [b'{"case": {"id": "a", "folder": "b", "messages": []}, "adapter": "v", "attempts": []}'],
    "baseline": [b'{"schema": 2, "adapter": "v4.0", "cases": {"a/b": {"digest": "x", "status": "PASS"}}}'],
    "pairs": [b'[{"instruction": "a", "input": "", "chosen": "b", "rejected": "c", "history": [["d", "e"]]}]',
              b'[{"conversations": ' + _TURNS + b', "chosen": {"from": "gpt", "value": "x"}, "rejected": "y"}]'],
    "sft-csv": [b"instruction,output\na,b\n"],
    "kto-jsonl": [b'{"messages": ' + _TURNS + b', "label": true}\n'],
    "dataset-info": [b'{"d": {"file_name": "d.json", "ranking": true, "columns": {"prompt": "a"}}}'],
    "server-reply": [b'{"object": "list", "data": [{"id": "m", "root": "/m", "parent": null, "max_model_len": 9}]}',
                     b'{"model": "m", "choices": [{"index": 0, "text": "a", "token_ids": [1], "finish_reason": "stop", '
                     b'"logprobs": {"tokens": ["token_id:1"], "top_logprobs": [{"token_id:1": -0.1}]}}]}'],
    "log-lines": [b'{"prompt": "a", "response": "b b b b b b b b", "finish_reason": "length"}\n'],
    "log-csv": [b"prompt,response\na,b b b b\n"],
    "log-text": [b'INFO 2026 Received request a: prompt: \'x\', params: y\n{"prompt": "a", "response": "b"}\n'],
    "answers-csv": [b"text,response,standard_answer\na,b,c\n"],
    "answers-json": [b'[{"text": "a", "response": "b", "standard_answer": "c"}]'],
    "inference-script": [b"from vllm import LLM\nllm = LLM(model='m')\nparams = BeamSearchParams(4, 10)\n"],
    "report": [b'{"schema": 2, "adapters": []}'],
    "report-lines": [gzip.compress(b'{"schema": 2, "adapters": [{"count": 1}]}\n{}\n')],
    "fingerprint": [b'{"engine": ["a", "b"], "answers": [[1]], "logprobs": [-1.0]}'],
    "model-config": [b'{"architectures": ["Q"], "hidden_size": 64, "num_hidden_layers": 2, "torch_dtype": "bfloat16"}'],
    "sessions": [b'{"pid": 1, "host": "h", "started": "2026", "earlier": []}'],
}  # fmt: skip
"""What a reader accepts or nearly accepts, so that the search begins behind the first check."""
(HERE / "toml").mkdir(exist_ok=True)
(HERE / "toml" / "test.json").write_text('[{"text": "x"}]')


def _seeds(name: str) -> list[bytes]:
    """Files to begin with; of the binary formats, small whole ones."""
    if name == "database":
        path = HERE / "seed.sqlite"
        with Store(path) as store:
            run = store.begin_run(1, {"adapters": ["v4.0"]})
            store.finish_run(run.id, "finished")
        return [path.read_bytes()]
    if name == "cases-xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        assert book.active is not None
        for row in (["id", "text"], ["a", "x"]):
            book.active.append(row)
        book.save(HERE / "seed.xlsx")
        return [(HERE / "seed.xlsx").read_bytes()]
    return _SEEDS.get(name, [])


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else "all"
    seconds = sys.argv[2] if len(sys.argv) > 2 else "60"
    if name == "all":
        return max(
            subprocess.run([sys.executable, "-m", "tests.soak.fuzz", reader, seconds], check=False).returncode
            for reader in READERS
        )
    read = READERS[name]

    def one(data: bytes) -> None:
        try:
            read(data)
        except HarnessError as error:
            assert str(error).strip(), "an error without words"

    (OUT / name).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(_seeds(name)):
        (OUT / name / f"seed-{number}").write_bytes(seed)
    longest = 65536 if name in ("database", "cases-xlsx") else 4096
    options = [f"-max_total_time={seconds}", "-timeout=10", f"-max_len={longest}", f"-artifact_prefix={OUT / name}/",
               "-print_final_stats=1", "-verbosity=0"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(OUT / name)], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
