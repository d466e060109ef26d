"""Case files in, frozen cases out."""

from harness.cases.folder import read_file, read_folder, read_suite
from harness.cases.model import Case, Message, Role, Thresholds
from harness.cases.write import write_cases

__all__ = ["Case", "Message", "Role", "Thresholds", "read_file", "read_folder", "read_suite", "write_cases"]
