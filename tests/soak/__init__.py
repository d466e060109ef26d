"""Campaigns of faults: kills, concurrent writers, disks that fail, damaged state files, fuzzed readers.

    python -m tests.soak [kills|concurrency|disk|corruption|fuzz|all] [--count N] [--minutes M] [--seed S]
    python -m tests.soak table

A campaign draws its tries from a seed, so a violation is made again by its seed. Each leaves one line in
``reports/bench/soak.jsonl``; ``table`` prints the newest of each as Markdown for ``docs/explanation/reliability.md``.
Short versions of the first four are in the ordinary test suite (``tests/faults/test_soak_short.py``).

Trade-off: commands run on the scripted engine and trainer, since a try must cost a second. What vLLM and LLaMA-Factory
do themselves under a kill is not measured here.
"""
