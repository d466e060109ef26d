"""The environments that the harness and the trainer run in."""
