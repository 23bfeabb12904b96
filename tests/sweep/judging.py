"""What must hold after every fault, looked at by a process that starts anew."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from sqlalchemy import make_url, select

from app.domain.records import UploadState
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.tables import blobs as register
from benchmarks.storm_blobs import dangling


def faults_of(url: str, folder: Path, tenant: str, acknowledged: Iterable[str]) -> list[str]:
    """Return what is wrong, each as a sentence; nothing where all is as promised.

    Args:
        url: of the database.
        folder: of the blobs.
        tenant: whose uploads they are.
        acknowledged: ids of the uploads that were said to be complete.
    """
    store, blobs = Store(url), LocalBlobs(folder)
    try:
        return [
            *(f"{name} has not the content of its name" for name in _partial(folder)),
            *dangling(store, blobs),
            *_counted_in_vain(store, blobs),
            *_lost(store, blobs, tenant, acknowledged),
            *_corrupt(url),
        ]
    finally:
        store.close()


def _partial(folder: Path) -> list[str]:
    files = [path for path in folder.glob("*/??/*") if ".staging" not in path.parts]
    return [
        path.name for path in files if hashlib.sha256(path.read_bytes()).hexdigest() != path.name
    ]


def _counted_in_vain(store: Store, blobs: LocalBlobs) -> list[str]:
    """Return the blobs that the register counts and that are not there, or not whole."""
    with store.read() as tx:
        counted = [(row["tenant_id"], row["sha256"]) for row in tx.rows(select(register))]
    return [
        f"the register counts {name}" for owner, name in counted if not blobs.verify(owner, name)
    ]


def _lost(store: Store, blobs: LocalBlobs, tenant: str, acknowledged: Iterable[str]) -> list[str]:
    lost = []
    for upload_id in acknowledged:
        with store.read() as tx:
            upload = tx.uploads.get(tenant, upload_id)
        if upload is None or upload.state is not UploadState.COMPLETE:
            lost.append(f"{upload_id} was acknowledged and is {upload}")
        elif not blobs.verify(tenant, upload.blob or ""):
            lost.append(f"{upload_id} was acknowledged and its bytes are gone")
    return lost


def _corrupt(url: str) -> list[str]:
    """Return what SQLite finds wrong with its file; PostgreSQL's server has not been touched."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or parts.database is None:
        return []
    with closing(sqlite3.connect(parts.database)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    return [] if found == ["ok"] else found
