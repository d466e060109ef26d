"""The files of a new project, as texts: what ``harness init`` writes.

Comments in them stay English, since the files are shared and quoted; the README is in the reader's language.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.language import tr
from harness.models.description import ModelDescription

__all__ = [
    "BAD_CASE",
    "CASE_SETTINGS",
    "EMBEDDED",
    "MANIFEST_HEAD",
    "TEST_FILE",
    "manifest_text",
    "next_commands",
    "project_text",
    "quoted",
    "readme",
    "value",
]

EMBEDDED = "smollm2-135m-instruct"
"""The model of a project without one of its own."""
TEST_FILE = '''\
"""Every bad case in this folder, one test each: ``pytest badcases --adapter NAME``."""

from harness import BadCase


def test_badcase(badcase: BadCase) -> None:
    """The adapter answers the case without falling into a loop."""
    badcase.check()
'''
BAD_CASE = """\
[
  {
    "text": "Write a short poem about the sea.",
    "standard_answer": "The sea rolls in on silver feet,\\nAnd hums along the shore,\\nAnd then goes out once more."
  }
]
"""
CASE_SETTINGS = """\
# Settings of every case in this folder; a record may override them.
[decoding]
method = "beam"
beam_width = 5
max_tokens = 256
"""
MANIFEST_HEAD = """\
# Every adapter version: what it is, its parent, what it was trained on.
# path is a folder (relative to this file), a hub id, or embedded:<name> for the model that ships with the harness.

"""


def manifest_text(model: str, path: str, version: str, about: ModelDescription | None) -> str:
    """The manifest with one model and the version that is the model as shipped."""
    lines = [f"[models.{quoted(model)}]", f"path = {quoted(path)}"]
    if about is None:
        lines.append('template = "smollm2"')
    elif not about.chat_template:
        lines.append('# The folder holds no chat template; name a file with one: chat_template = "template.jinja"')
    lines += [
        "",
        f"[adapters.{quoted(version)}]",
        f"model = {quoted(model)} # no weights of its own: the model as shipped",
    ]
    return MANIFEST_HEAD + "\n".join(lines) + "\n"


def project_text(version: str, about: ModelDescription | None, more: Sequence[str] = ()) -> str:
    """``pyproject.toml``: the version to evaluate, and for a model of the user's the engine's options as comments.

    Args:
        version: to evaluate.
        about: the model; None for the embedded one.
        more: further lines of [tool.harness].
    """
    lines = ["[tool.harness]", f"adapter = {quoted(version)}", *more]
    if about is not None:
        lines += [
            "# merge = true            # on a CPU: each adapter answers as a merged model, more than twice as fast",
            "",
            "[tool.harness.engine_options]",
            "# Keyword arguments of the engine. Length and LoRA rank are set from cases and adapters.",
            *_engine_options(about),
        ]
    return "\n".join([*lines, "", "[tool.pytest.ini_options]", 'testpaths = ["badcases"]', ""])


def _engine_options(about: ModelDescription) -> list[str]:
    longest = f"the model was made for {about.max_length}" if about.max_length else "tokens of prompt and answer"
    heads = f"; it divides the {about.heads} attention heads" if about.heads else ""
    dtype = f'# dtype = "{about.dtype or "bfloat16"}"'
    return [
        f"# max_model_len = {min(about.max_length or 8192, 8192):<7} # {longest}; memory grows with it",
        f"# tensor_parallel_size = 8  # GPUs that share each layer{heads}; default: as many as it needs",
        "# pipeline_parallel_size = 2 # groups of GPUs that share the layers, for models larger than one machine",
        f"{dtype:<26} # {'as the model was saved' if about.dtype else 'the folder does not say'}",
        "# gpu_memory_utilization = 0.9",
        "# max_num_seqs = 256          # sequences in a batch",
        '# quantization = "fp8"        # default: as the model was saved',
    ]


def next_commands(version: str) -> tuple[str, ...]:
    """The three commands after ``harness init``."""
    return ("harness doctor", f"pytest badcases --adapter {version}", "harness fix --failed")


def readme(title: str, version: str, versions: Sequence[str], *, example: bool = True) -> str:
    """A page for the people who find the folder; ``example``: whether badcase1 is only an example."""
    check, evaluate, fix = next_commands(version)
    names = ", ".join(f"`{name}`" for name in versions)
    return "\n".join([
        f"# {tr('Bad cases of {model}', model=title)}",
        "",
        tr("Each folder under `badcases` holds prompts on which the model failed."),
        tr("Versions to test: {names}.", names=names),
        "",
        "1. " + tr("See what is installed and what is missing: `{command}`", command=check),
        "2. " + tr("Run every bad case and judge the answers: `{command}`", command=evaluate),
        "3. " + tr("Train on what failed, run again, compare: `{command}`", command=fix),
        "",
        tr("Put your own cases into `badcases/NAME/test.json`; `badcases/badcase1` is an example to replace.")
        if example
        else tr("Put more cases into `badcases/NAME/test.json`."),
        "",
    ])  # fmt: skip


def quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def value(plain: str | float) -> str:
    """A text, number or truth as TOML."""
    return quoted(plain) if isinstance(plain, str) else str(plain).lower()
