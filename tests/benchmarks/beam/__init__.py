"""How fast the beam search is, next to its floor, vLLM's own and transformers', on one machine in one run."""
