"""Making a backup of a service that may be at work meanwhile."""

from app.backup.checking import require_schema
from app.backup.findings import Findings, Say, in_words
from app.backup.folder import Folder, Manifest, TableFile
from app.backup.holding import Holding
from app.backup.moving import copying, deal_with
from app.backup.names import BlobNames
from app.backup.rows import LEFT_OUT, write_table
from app.store.blob_files import BlobStore
from app.store.blobs import LocalBlobs
from app.store.database import Store, Transaction
from app.store.migrate import known_revisions
from app.store.references import references
from app.store.tables import metadata
from app.version import VERSION


def take_backup(store: Store, blobs: BlobStore, folder: Folder, say: Say) -> Findings:
    """Write all rows of one moment and every blob that they name.

    A blob is there before a row names it, never changes, and is not collected while we hold the role: so
    rows first, blobs after. A blob that is lost already is noted, and the backup goes on without it.

    Raises:
        BackupError: the folder is not empty, or the database not at this version's schema.
    """
    findings = Findings(say)
    with store.read() as tx:
        require_schema(tx)  # also before the role is asked for: its table may not be there
    with Holding(store, say) as holding:
        with store.snapshot() as tx:
            require_schema(tx)
            folder.create()
            taken_at = tx.now()
            tables = _write_tables(tx, folder, say)
            names = BlobNames(references(tx))
        with names:
            copies = LocalBlobs(folder.blobs)
            take = copying(blobs.open_range, copies, mode=0o600)
            copied = deal_with(names, take, holding.check, findings)
            copies.staging.rmdir()
        manifest = Manifest(
            version=VERSION,
            revision=known_revisions()[-1],
            database=tx.connection.dialect.name,
            taken_at=taken_at,
            tables=tables,
            blobs=copied.blobs,
            blob_bytes=copied.bytes,
            blobs_lost=findings.faults,
        )
        holding.check()
        folder.finish(manifest)
    say(f"blobs       {copied.blobs} ({in_words(copied.bytes)})")
    say(f"backup of {taken_at:%Y-%m-%d %H:%M:%S} UTC is in {folder.path}")
    return findings


def _write_tables(tx: Transaction, folder: Folder, say: Say) -> dict[str, TableFile]:
    written = {
        table.name: write_table(tx.connection, table, folder.table(table.name))
        for table in metadata.sorted_tables
        if table.name not in LEFT_OUT
    }
    rows = sum(file.rows for file in written.values())
    say(f"tables      {len(written)}, {rows} rows")
    return written
