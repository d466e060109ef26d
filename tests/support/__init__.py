"""Builders and fakes that several test modules share."""
