"""Figures of the trainer."""
