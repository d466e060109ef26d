"""Makes torch absent in the process that runs campaigns, unless it is there; imported before everything else.

Its import takes seconds, and no try computes anything with it. Processes that a try starts find :mod:`sitecustomize`
in ``tests/soak/without_torch``, which does the same.
"""

import sys

sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
