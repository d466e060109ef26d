"""Runs: cases and adapters in, recorded results out. pytest and every command use these."""
