"""The author's library: what a script asks its sandbox for.

    import pandas, slipway
    table = pandas.read_csv(slipway.DATA / "sales.csv")
    table.describe().to_csv(slipway.WORK / "summary.csv")

Outside a sandbox, ``context()`` is None, and DATA and WORK are /data and /work unless the environment names
others (SLIPWAY_DATA, SLIPWAY_WORK, SLIPWAY_CONTEXT), so that a script can be tried anywhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = ["DATA", "WORK", "context"]

#: The input files, read-only.
DATA: Path = Path(os.environ.get("SLIPWAY_DATA", "/data"))

#: The writable work directory; output files are collected from here.
WORK: Path = Path(os.environ.get("SLIPWAY_WORK", "/work"))


def context() -> Any:
    """The context data that the caller gave with the run: any JSON value, None if there is none."""
    path = os.environ.get("SLIPWAY_CONTEXT")
    if path is None:
        return None
    import json

    with open(path, encoding="utf-8") as file:
        return json.load(file)
