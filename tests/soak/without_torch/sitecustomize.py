"""Makes torch absent in the processes of a campaign: its import takes seconds, and no try computes anything with it."""

import sys

sys.modules["torch"] = None  # type: ignore[assignment]
