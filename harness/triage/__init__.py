"""Production logs to bad cases: finds the repeaters in gigabytes of answers and writes them as a case folder.

sources     files of many kinds as a stream of records, in bounded memory
shapes      which fields of a record are the prompt and the answer
prefilter   a cheap test that rejects most answers before they are scored
groups      near-duplicate prompts as one group
scan        one part of one file, from its bytes to its groups
logs        all files, on several processes
cases       the groups as cases
"""

from __future__ import annotations
