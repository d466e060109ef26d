"""Figures of the scores: recall and false positives by kind, speed, noise of the gate.

Run it: ``make bench-scores``.
"""
