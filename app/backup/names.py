"""Which blobs a moment's rows name: each once, in order, on disk rather than in memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from app.store.references import Reference


class BlobNames:
    """A set of tenant and sha-256 in a temporary file that nobody else sees; it goes with its holder."""

    def __init__(self, references: Iterable[Reference]) -> None:
        self._file = sqlite3.connect("")
        self._file.execute(
            "CREATE TABLE names (tenant TEXT, sha256 TEXT, owner TEXT, PRIMARY KEY (tenant, sha256))"
            " WITHOUT ROWID"
        )
        rows = ((one.tenant_id, one.sha256, one.owner) for one in references)
        self._file.executemany("INSERT OR IGNORE INTO names VALUES (?, ?, ?)", rows)
        self._file.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._file.execute("SELECT tenant, sha256 FROM names ORDER BY tenant, sha256"))

    def __len__(self) -> int:
        (count,) = self._file.execute("SELECT count(*) FROM names").fetchone()
        return int(count)

    def __contains__(self, name: tuple[str, str]) -> bool:
        return self.owner(*name) is not None

    def tenants(self) -> list[str]:
        rows = self._file.execute("SELECT DISTINCT tenant FROM names ORDER BY tenant")
        return [tenant for (tenant,) in rows]

    def owner(self, tenant_id: str, sha256: str) -> str | None:
        """Return a job or an upload that names the blob; None where nothing does."""
        query = "SELECT owner FROM names WHERE tenant = ? AND sha256 = ?"
        found = self._file.execute(query, (tenant_id, sha256)).fetchone()
        return found[0] if found else None
