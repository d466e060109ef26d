"""The benchmark of ``harness triage``: speed, memory, and what the prefilter misses."""
