"""Beam search as pure logic: rows of log-probabilities in, hypotheses out; no torch, no vLLM, no tokenizer.

The search is separate from the engines, so that it can be tested bit for bit on table models. Any engine that returns
the top of a next-token distribution can drive it. :func:`beam_search` drives it on a vLLM ``LLM`` of your own, and
imports vLLM when it is called.
"""

from harness.engines.beam.on_vllm import beam_search
from harness.engines.beam.rows import Row, make_row
from harness.engines.beam.search import BeamRules, BeamSearch, Finished, Hypothesis

__all__ = ["BeamRules", "BeamSearch", "Finished", "Hypothesis", "Row", "beam_search", "make_row"]
