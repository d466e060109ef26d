"""Forks without recomputation: a vLLM KV connector that copies the parent's last, partly filled block to the child.

vLLM shares only full blocks of its KV cache between requests. A beam search that forks a hypothesis off a running one
therefore computes its last partial block again. On a CPU, where a block has 32 tokens, that is 16 tokens on average for
every new one. A connector is vLLM's public way to bring KV data in from elsewhere (``KVTransferConfig``); here
"elsewhere" is another block of the same cache. A child names its parent in
``extra_args["kv_transfer_params"]["fork_of"]``, by the id that the caller gave it (vLLM adds a suffix of its own).

Invariant: data is copied only from blocks that hold the same tokens, computed by the same model. The parent is running,
or it has ended and its blocks are kept until the step in which the copy is made (``request_finished``). Over HTTP the
end of a parent can arrive before its child, so a request may ask to be kept for some steps after its end
(``keep_steps``). Where there is no such parent nothing is copied and vLLM computes the tokens, which is only slower.
This module imports vLLM at its top, because vLLM imports it by name; no other module may.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
    KVConnectorRole,
    SupportsHMA,
)

__all__ = ["ForkConnector"]

_MOST_STEPS = 64
"""Steps that a caller may have an ended request kept; its blocks are taken from everybody else."""
T = TypeVar("T")


class _Held(NamedTuple):
    """What is kept of an ended request."""

    blocks: list[int]
    until: int
    """The step at which it is released, if no child waits for it then."""


@dataclass
class _Work(KVConnectorMetadata):  # type: ignore[misc]
    """One step's work for the worker."""

    copies: list[tuple[int, int]] = field(default_factory=list)
    """(from, to) block numbers."""
    released: list[str] = field(default_factory=list)
    """Ended parents that no child waits for any more."""


class ForkConnector(KVConnectorBase_V1, SupportsHMA):  # type: ignore[misc]
    """Both sides of the connector: one instance in the scheduler, one per worker."""

    def __init__(self, vllm_config: Any, role: KVConnectorRole, kv_cache_config: Any) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self._block = vllm_config.cache_config.block_size
        self._manager: Any = None
        self._work = _Work()
        self._known: dict[str, Any] = {}
        """vLLM's requests whose blocks may be copied from, running or held."""
        self._names: dict[str, str] = {}
        """The id that a caller gave -> vLLM's."""
        self._parents: dict[str, str] = {}
        """Child -> parent, until the child is scheduled."""
        self._waiting: dict[str, set[str]] = {}
        """Parent -> children that are not scheduled yet."""
        self._held: dict[str, _Held] = {}
        """Ended requests whose blocks are kept back."""
        self._step = 0
        self._caches: list[Any] = []

    # -- in the scheduler ------------------------------------------------------------------------------------------

    @property
    def requires_kv_delivery(self) -> bool:
        return False

    def has_pending_block_frees(self) -> bool:
        return bool(self._held)

    def bind_kv_cache_manager(self, kv_cache_manager: Any) -> None:
        super().bind_kv_cache_manager(kv_cache_manager)
        self._manager = kv_cache_manager

    def on_new_request(self, request: Any) -> None:
        self._known[request.request_id] = request
        self._names[_callers_id(request)] = request.request_id
        parent = self._names.get(_parameter(request, "fork_of", str) or "")
        if parent is not None:
            self._parents[request.request_id] = parent
            self._waiting.setdefault(parent, set()).add(request.request_id)

    def get_num_new_matched_tokens(self, request: Any, num_computed_tokens: int) -> tuple[int, bool]:
        # All but the last token, whose row is what the fork is for.
        missing = request.num_tokens - 1 - num_computed_tokens
        if request.num_output_tokens or not 0 < missing < self._block:
            return 0, False
        return (missing if self._source(request, num_computed_tokens) is not None else 0), False

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        if num_external_tokens:
            first = request.num_tokens - 1 - num_external_tokens
            source = self._source(request, first)
            if source is None:
                raise RuntimeError(f"the parent of request {request.request_id} vanished between match and allocation")
            self._work.copies.append((source, blocks.get_block_ids()[0][first // self._block]))
        self._scheduled(request.request_id)

    def build_connector_meta(self, scheduler_output: Any) -> KVConnectorMetadata:  # noqa: ARG002 - the base's signature
        self._step += 1
        for ended in [name for name, held in self._held.items() if held.until <= self._step]:
            self._release(ended)
        work, self._work = self._work, _Work()
        return work

    def request_finished(self, request: Any, block_ids: list[int]) -> tuple[bool, dict[str, Any] | None]:
        self._scheduled(request.request_id)
        steps = _parameter(request, "keep_steps", int) or 0
        if not self._waiting.get(request.request_id) and not 0 < steps <= _MOST_STEPS:
            self._forget(request.request_id)
            return False, None
        self._held[request.request_id] = _Held(list(block_ids), self._step + steps)
        return True, None

    def request_finished_all_groups(
        self, request: Any, block_ids: tuple[list[int], ...]
    ) -> tuple[bool, dict[str, Any] | None]:
        return self.request_finished(request, block_ids[0])

    def _source(self, child: Any, token: int) -> int | None:
        """The block that holds the child's ``token``-th token and those after it, if there is one."""
        parent = self._known.get(self._parents.get(child.request_id, ""))
        if parent is None:
            return None
        shared = child.num_tokens - 1
        same_model = parent.lora_request == child.lora_request and parent.cache_salt == child.cache_salt
        # A parent that was preempted has to compute its tokens again.
        if not same_model or parent.num_computed_tokens < shared:
            return None
        if parent.all_token_ids[:shared] != child.all_token_ids[:shared]:
            return None
        held = self._held.get(parent.request_id)
        if held is not None:
            blocks = held.blocks
        else:
            block_ids = self._manager.get_block_ids(parent.request_id)
            blocks = block_ids[0] if block_ids else []
        index = token // self._block
        return blocks[index] if index < len(blocks) else None

    def _scheduled(self, child: str) -> None:
        parent = self._parents.pop(child, None)
        if parent is None or (children := self._waiting.get(parent)) is None:
            return
        children.discard(child)
        if not children:
            del self._waiting[parent]
            held = self._held.get(parent)
            if held is not None and held.until <= self._step:
                self._release(parent)

    def _release(self, ended: str) -> None:
        if not self._waiting.get(ended):
            del self._held[ended]
            self._work.released.append(ended)
            self._forget(ended)

    def _forget(self, ended: str) -> None:
        request = self._known.pop(ended, None)
        if request is not None and self._names.get(_callers_id(request)) == ended:
            del self._names[_callers_id(request)]

    # -- in the worker ---------------------------------------------------------------------------------------------

    def register_kv_caches(self, kv_caches: dict[str, Any]) -> None:
        self._caches = list(kv_caches.values())

    def start_load_kv(self, forward_context: Any, **kwargs: Any) -> None:  # noqa: ARG002 - the base's signature
        work = self._get_connector_metadata()
        if not isinstance(work, _Work) or not work.copies:
            return
        import torch

        device = self._caches[0].device
        sources = torch.tensor([source for source, _ in work.copies], device=device)
        targets = torch.tensor([target for _, target in work.copies], device=device)
        for cache in self._caches:
            cache.index_copy_(0, targets, cache.index_select(0, sources))

    def get_finished(self, finished_req_ids: set[str]) -> tuple[set[str] | None, set[str] | None]:  # noqa: ARG002
        work = self._get_connector_metadata()
        return (set(work.released) or None if isinstance(work, _Work) else None), None

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Nothing to wait for: copies are made before the forward pass."""

    def save_kv_layer(self, layer_name: str, kv_layer: Any, attn_metadata: Any, **kwargs: Any) -> None:
        """Nothing is saved."""

    def wait_for_save(self) -> None:
        """Nothing is saved."""


def _callers_id(request: Any) -> str:
    return str(request.request_id).rpartition("-")[0]


def _parameter(request: Any, name: str, kind: type[T]) -> T | None:
    params = request.kv_transfer_params
    value = params.get(name) if params else None
    return value if isinstance(value, kind) else None
