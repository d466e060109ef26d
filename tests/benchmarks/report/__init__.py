"""``make bench-report``: seconds and sizes of the reports of a large run."""
