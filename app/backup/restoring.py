"""Putting a backup back: into an empty database and an empty blob store, and so that work goes on there."""

from sqlalchemy import Table, delete, insert, select
from sqlalchemy.exc import DBAPIError

from app.backup.checking import check_rows, check_service
from app.backup.findings import Findings, Say, in_words
from app.backup.folder import BackupError, Folder, Manifest
from app.backup.holding import Holding
from app.backup.moving import copying, deal_with, pieces_of
from app.backup.names import BlobNames
from app.backup.rows import LEFT_OUT, Row, read_rows
from app.backup.scratch import loaded
from app.domain.records import UploadState
from app.domain.tasks import Lease, TaskState
from app.store.blob_files import BlobStore
from app.store.database import Store, Transaction
from app.store.leases import hold, requeue
from app.store.migrate import lift_limits
from app.store.references import references
from app.store.tables import metadata, tasks, upload_parts, uploads


def restore_backup(folder: Folder, store: Store, blobs: BlobStore, say: Say) -> Findings:
    """Put blobs back, then all rows in one transaction, then look at what came of it.

    What has failed half-way has left no row, and can be repeated: blobs of this very backup may be there.

    Args:
        folder: of a finished backup.
        store: migrated, and empty.
        blobs: an empty blob store.
        say: is given lines to print.

    Raises:
        BackupError: the backup is damaged, unfinished or of a later version, or the place is not empty.
    """
    manifest = folder.manifest()
    _require_whole(folder, manifest)
    with Holding(store, say) as holding:
        with store.read() as tx:
            _require_empty(tx)
        with loaded(folder, manifest) as rows, rows.snapshot() as source:
            _require_rows(source, folder, say)
            with BlobNames(references(source)) as names:
                _require_no_others(blobs, names)
                give = copying(pieces_of(folder), blobs)
                copied = deal_with(names, give, holding.check, Findings(say))
            say(f"blobs       {copied.blobs} ({in_words(copied.bytes)}) put back")
            with store.write() as tx:
                lift_limits(tx.connection)
                holding.secure(tx)
                _require_empty(tx)
                _copy_rows(source, tx)
                _settle(tx)
    say("tables      put back")
    return check_service(store, blobs, say)


def _require_whole(folder: Folder, manifest: Manifest) -> None:
    damaged = [
        str(folder.table(name))
        for name, wanted in manifest.tables.items()
        if not folder.table_is_as_written(name, wanted)
    ]
    if damaged:
        raise BackupError(f"nothing was restored: {', '.join(damaged)} missing or damaged")


def _require_rows(source: Transaction, folder: Folder, say: Say) -> None:
    findings = Findings(say)
    check_rows(source, findings)
    if findings.faults:
        raise BackupError(f"nothing was restored: {folder.path} has {findings.sentence()}")


def _require_empty(tx: Transaction) -> None:
    if serving := tx.workers.count_by_class():
        raise BackupError(
            f"workers of {', '.join(sorted(serving))} tasks are at work on this database; stop everything"
            " that uses it first"
        )
    for table in metadata.sorted_tables:
        if table.name not in LEFT_OUT and tx.row(select(*table.primary_key).limit(1)) is not None:
            raise BackupError(
                f"the database is not empty: there are {table.name}; a backup is restored into an empty one"
            )


def _require_no_others(blobs: BlobStore, names: BlobNames) -> None:
    for tenant_id in names.tenants():
        for one in blobs.stored(tenant_id):
            if (tenant_id, one.sha256) not in names:
                raise BackupError(
                    f"the blob store is not empty: {tenant_id}/{one.sha256} is not of this backup; a backup"
                    " is restored into an empty one"
                )


def _copy_rows(source: Transaction, tx: Transaction) -> None:
    for table in metadata.sorted_tables:
        if table.name in LEFT_OUT:
            continue
        try:
            for some in read_rows(source.connection, table):
                tx.connection.execute(insert(table), [_unleased(table, row) for row in some])
        except DBAPIError as error:
            raise BackupError(
                f"nothing was restored: the database refuses a row of {table.name}: {error.orig}"
            ) from error


def _unleased(table: Table, row: Row) -> Row:
    """Return a row without the seconds of the clock that it was leased by: this database has another."""
    if table is not tasks:
        return row
    clocks = ("lease_until", "lease_boot", "claimed_clock", "delayed_until", "progress_event_clock")
    return row | dict.fromkeys(clocks)


def _settle(tx: Transaction) -> None:
    """Put back what had begun where the backup comes from, and is not going on here."""
    running = select(tasks.c.id, tasks.c.attempt).where(tasks.c.state == TaskState.RUNNING)
    for row in tx.rows(running):
        # Not left to the reconciler, which would charge the task with a crash.
        requeue(tx, hold(tx, Lease(row["id"], row["attempt"])), "restored")
    # Parts lie on the disk of the API that received them, which is no blob store: they are sent again.
    receiving = select(uploads.c.id).where(uploads.c.state == UploadState.RECEIVING)
    tx.run(delete(upload_parts).where(upload_parts.c.upload_id.in_(receiving)))
