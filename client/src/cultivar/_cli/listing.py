"""Tables of things that have an id."""

from rich import box
from rich.console import Console
from rich.table import Table

WIDE = 160
"""Columns where nobody looks on: a file or a pipe gets every row whole, on one line."""


def listing(*heads: str) -> Table:
    """Return an empty table whose first column, the id, is never cut: it is there to be copied."""
    table = Table(box=box.SIMPLE_HEAD)
    first, *others = heads
    table.add_column(first, no_wrap=True, overflow="fold", min_width=36)
    for head in others:
        table.add_column(head)
    return table


def show(table: Table, none: str) -> None:
    """Print a table, or the words `none` where it has no row."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(table if table.row_count else none, markup=False)
