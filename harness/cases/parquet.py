"""Case files in Parquet, read through pandas.

A Parquet file has types, so a column of texts holds texts and ``messages`` may be a list of turns. A cell that holds
text is read like a cell of any table: tags separated by commas, one pattern a line, JSON in ``messages``. The footer is
checked before anything is unpacked, because a small file can unpack to any size.

CSV and XLSX files do not go through pandas (:mod:`harness.cases.tables`): it gives neither the line of a record nor
formulas, merged cells and cells of the wrong type, which the harness refuses by row and column.
"""

from __future__ import annotations

import io
import math
from typing import Any

from harness.cases.problems import Problems
from harness.cases.record import MAX_RECORDS, TOO_MANY, CaseRecord
from harness.cases.tables import cell_value, check_columns

__all__ = ["read_parquet"]


def read_parquet(data: bytes, place: str, problems: Problems, largest: int) -> list[CaseRecord]:
    """Records of a Parquet file.

    Args:
        data: the file's bytes.
        place: what to call it in messages.
        problems: where problems are noted.
        largest: maximum of bytes that the file may unpack to.
    """
    try:
        import pandas as pd
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        problems.add(place, "reading Parquet needs pyarrow; run: pip install 'badcase-harness[parquet]'")
        return []
    try:
        footer = ParquetFile(io.BytesIO(data)).metadata
        size = sum(footer.row_group(n).total_byte_size for n in range(footer.num_row_groups))
        if footer.num_rows > MAX_RECORDS:
            problems.add(place, TOO_MANY)
            return []
        if size > largest:
            problems.add(place, f"unpacks to more than {largest // 2**20} MiB; split it over several folders")
            return []
        frame = pd.read_parquet(io.BytesIO(data), dtype_backend="numpy_nullable")
    except (ArrowException, OSError, ValueError) as error:
        problems.add(place, f"not a Parquet file that can be read: {str(error)[:200]}; write it again")
        return []
    columns = check_columns(list(frame.columns), place, problems)
    if columns is None:
        return []
    records = []
    for number, row in enumerate(frame.itertuples(index=False, name=None), 1):
        cells = {name: _plain(cell) for name, cell in zip(columns, row, strict=True) if name}
        present = {name: cell for name, cell in cells.items() if cell is not None and cell != ""}
        records.append(
            CaseRecord(
                place=f"{place}, record {number}",
                values={n: cell_value(n, c) if isinstance(c, str) else c for n, c in present.items()},
            )
        )
    return records


def _plain(cell: Any) -> Any:
    """A cell as JSON would hold it; None where it is empty."""
    import numpy as np
    import pandas as pd

    if isinstance(cell, np.ndarray | list | tuple):
        return [_plain(item) for item in cell]
    if isinstance(cell, dict):
        return {str(key): plain for key, item in cell.items() if (plain := _plain(item)) is not None}
    if cell is None or cell is pd.NA or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return cell.item() if isinstance(cell, np.generic) else cell
