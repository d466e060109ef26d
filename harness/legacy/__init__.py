"""What teams have today, as a project of the harness: script folders and result workbooks.

shell       the words of shell scripts, without running them
"""

from __future__ import annotations
