"""Beam search as pure logic: rows of log-probabilities in, hypotheses out; no torch, no vLLM, no tokenizer.

Why apart from the engines: the search can then be tested bit for bit on table models, and any engine that returns the
top of a next-token distribution can drive it.
"""

from harness.engines.beam.rows import Row, make_row
from harness.engines.beam.search import BeamRules, BeamSearch, Finished, Hypothesis

__all__ = ["BeamRules", "BeamSearch", "Finished", "Hypothesis", "Row", "make_row"]
