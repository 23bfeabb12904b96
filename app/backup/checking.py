"""Whether every blob that a row names is there and what it was, and whether the rows hold together."""

from collections.abc import Callable, Iterable, Iterator

from sqlalchemy import ColumnElement, ForeignKey, Table, and_, exists, or_, select
from sqlalchemy.exc import DBAPIError

from app.backup.findings import Findings, Say, in_words
from app.backup.folder import BackupError, Folder
from app.backup.holding import Holding
from app.backup.moving import Seen, deal_with, looking, pieces_of
from app.backup.names import BlobNames
from app.backup.rows import AT_ONCE
from app.backup.scratch import loaded
from app.domain.records import Tenant
from app.store.blob_files import BlobStore
from app.store.database import Store, Transaction
from app.store.migrate import known_revisions, revision_of
from app.store.references import references
from app.store.tables import metadata


def check_service(store: Store, blobs: BlobStore, say: Say) -> Findings:
    """Look at a database and its blob store, which may be at work meanwhile."""
    findings = Findings(say)
    with store.read() as tx:
        require_schema(tx)  # before the role is asked for: its table may not be there
    with Holding(store, say) as holding:
        with store.snapshot() as tx:
            check_rows(tx, findings)
            tenants = tx.tenants.list()
            names = BlobNames(references(tx))
        with names:
            _check_blobs(names, looking(blobs.open_range), holding.check, findings)
            _check_others(_stored(blobs, tenants), names, findings)
    return findings


def check_backup(folder: Folder, say: Say) -> Findings:
    """Look at a backup: its tables' files, its rows, its blobs.

    Raises:
        BackupError: it was not finished, or is of a later version.
    """
    findings, manifest = Findings(say), folder.manifest()
    for name, wanted in manifest.tables.items():
        if not folder.table_is_as_written(name, wanted):
            findings.note("table", f"{folder.table(name)} is missing or damaged")
    if findings.faults:
        say("rows and blobs were not looked at: they cannot be judged without all tables")
        return findings
    rows = sum(table.rows for table in manifest.tables.values())
    say(f"tables      {len(manifest.tables)} as written, {rows} rows")
    with loaded(folder, manifest) as store:
        with store.snapshot() as tx:
            check_rows(tx, findings)
            names = BlobNames(references(tx))
        with names:
            _check_blobs(names, looking(pieces_of(folder)), _go_on, findings)
            _check_others(folder.stored_blobs(), names, findings)
    return findings


def require_schema(tx: Transaction) -> None:
    """Raise BackupError unless the database has the schema of this version."""
    found, wanted = revision_of(tx.connection), known_revisions()[-1]
    if found is None:
        raise BackupError("the database is empty: it has no tables of Cultivar")
    if found != wanted:
        raise BackupError(
            f"the database has schema {found}, this version has {wanted}: use the version that runs on it,"
            " or bring it up to date with `python -m app migrate`"
        )


def check_rows(tx: Transaction, findings: Findings) -> None:
    """Note each row that refers to none, or to another tenant's."""
    before = findings.faults
    if tx.connection.dialect.name == "sqlite":
        _check_file(tx, findings)
    for table in metadata.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name):
            _check_reference(tx, table, key, findings)
    if findings.faults == before:
        findings.say("rows        every one refers to what is there")


def _check_file(tx: Transaction, findings: Findings) -> None:
    """Have SQLite look at its own file; a damaged one may not let itself be read to the end."""
    try:
        for (said,) in tx.connection.exec_driver_sql("PRAGMA integrity_check(100)"):
            if said != "ok":
                findings.note("table", str(said))
    except DBAPIError as error:
        findings.note("table", str(error.orig))


def _check_reference(tx: Transaction, table: Table, key: ForeignKey, findings: Findings) -> None:
    child, parent = table, key.column.table.alias()
    named = child.c[key.parent.name]
    met = parent.c[key.column.name] == named
    gone = and_(named.is_not(None), ~exists().where(met))
    strange: ColumnElement[bool] = gone
    if "tenant_id" in child.c and "tenant_id" in parent.c:
        strange = or_(gone, exists().where(met, parent.c.tenant_id != child.c.tenant_id))
    query = select(*child.primary_key, named.label("named"), gone.label("gone")).where(strange)
    for row in tx.connection.execute(query, execution_options={"yield_per": AT_ONCE}).mappings():
        which = "/".join(str(row[column.name]) for column in child.primary_key)
        why = "is not there" if row["gone"] else "is another tenant's"
        findings.note("row", f"{table.name} {which}: its {named.name} {row['named']} {why}")


def _check_blobs(
    names: BlobNames,
    look: Callable[[str, str], Seen],
    check: Callable[[], None],
    findings: Findings,
) -> None:
    before = findings.faults
    seen = deal_with(names, look, check, findings)
    whole = (
        "all there, with their sha-256" if findings.faults == before else "are as they should be"
    )
    findings.say(f"blobs       {seen.blobs} of {len(names)} ({in_words(seen.bytes)}) {whole}")


def _check_others(stored: Iterator[tuple[str, str]], names: BlobNames, findings: Findings) -> None:
    for name in stored:
        if name not in names:
            findings.note("superfluous", "/".join(name))


def _stored(blobs: BlobStore, tenants: Iterable[Tenant]) -> Iterator[tuple[str, str]]:
    for tenant in tenants:
        for one in blobs.stored(tenant.id):
            yield tenant.id, one.sha256


def _go_on() -> None:
    """Nobody deletes anything from a backup."""
