"""Judging: scores of an answer to a verdict, and verdicts of attempts to the result of a case."""
