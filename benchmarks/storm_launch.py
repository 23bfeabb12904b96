"""One process of the service under the name that the storm knows it by: ``NAME PARENT MODULE …``.

The database is told the name with every connection, so that a trigger can write down who changed a
task (`benchmarks.storm_audit`). Nothing else of the process differs from ``python -m MODULE …``, and it
dies with the storm. ``NAME PARENT exec PROGRAM …`` becomes another program, such as Redis.
"""

import os
import runpy
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Engine, event

from workers.orphans import die_with_parent

WRITER = "storm_writer"
"""SQL function of SQLite's connections, and setting of PostgreSQL's: who writes."""


def introduce(name: str, connection: Any, _: object = None) -> None:
    """Tell a new connection whose it is."""
    if isinstance(connection, sqlite3.Connection):
        connection.create_function(WRITER, 0, lambda: name)
    else:
        connection.execute("SELECT set_config('application_name', %s, false)", (name,))
        connection.commit()


@contextmanager
def introduced(name: str) -> Iterator[None]:
    """Have every engine of this process introduce itself by this name."""
    listener = partial(introduce, name)
    event.listen(Engine, "connect", listener)
    try:
        yield
    finally:
        event.remove(Engine, "connect", listener)


def main() -> None:
    """Read the command line, and become what it names."""
    name, parent, module, *arguments = sys.argv[1:]
    die_with_parent(int(parent))
    if module == "exec":
        os.execv(arguments[0], arguments)
    with introduced(name):
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


LAUNCH = (sys.executable, "-P", "-c", f"from {__name__} import main; main()")
"""How it is started; the words above follow."""
