"""The pytest plugin: translates between pytest and :mod:`harness.runs`."""
