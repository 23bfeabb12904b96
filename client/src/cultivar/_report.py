"""A job's report in memory: the verdict first, then the table that it rests on."""

from collections.abc import Mapping
from typing import Any

WIDTH = 110


class Report:
    """What a job says about itself. `print` it, or let a notebook show it.

    Attributes:
        data: the whole of `report.json`.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
