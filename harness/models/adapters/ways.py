"""What can be done with a version: serve it, merge it, stack it with another one, train on it.

The rules are the ones that serving, merging and stacking follow themselves, so ``harness adapters verify`` says before
an engine starts what would happen then.

    kind of adapter                         serve          merge   stack   train on
    LoRA on linear layers                   as one LoRA    yes     yes     yes
    several on top of each other            as one LoRA    yes     yes     yes
    whole modules, or an output layer       merged         yes     no      yes
    ranks over 512 together                 merged         yes     no      yes
    DoRA, biases, PiSSA, aLoRA ...          refused        no      no      no
    on a quantised model                    as one LoRA    no      yes     QLoRA
    with a tokenizer of its own             as above       yes     yes     merged first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import AdapterError
from harness.models.adapters.lineage import check_lineage
from harness.models.adapters.lora import Lora, open_all
from harness.models.adapters.merge import check_merge
from harness.models.adapters.stack import can_stack

__all__ = ["Ways", "ways_of"]

_YES = "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Each is ``yes``, how it is done, or why it cannot be."""

    serve: str
    merge: str
    stack: str
    train_on: str

    @property
    def text(self) -> str:
        """One line."""
        return f"serve: {self.serve}; merge: {self.merge}; stack: {self.stack}; train on: {self.train_on}"


def ways_of(model: Path, adapters: Sequence[Path | Lora], *, own_tokenizer: bool = False) -> Ways:
    """What can be done with the chain of ``adapters`` on ``model``.

    Raises:
        AdapterError: nothing can be: damaged, of an unknown kind, or not for this model.
    """
    loras = open_all(adapters)
    check_lineage(model, loras)
    try:
        check_merge(model, loras)
        merge = _YES
    except AdapterError as error:
        merge = f"no ({_reason(error)})"
    one = can_stack(loras)
    serve = "as one LoRA" if one else "merged" if merge == _YES else merge
    stack = _YES if one else "no (whole modules)" if any(lora.facts.extras for lora in loras) else "no (rank)"
    return Ways(serve=serve, merge=merge, stack=stack, train_on="merged first" if own_tokenizer else _YES)


def _reason(error: AdapterError) -> str:
    """The message without the place that it begins with."""
    return str(error).partition(": ")[2] or str(error)
