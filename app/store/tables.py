"""The tables. Migrations make them; a test checks that the two agree.

Times of day are `UtcDateTime`. Lease times are seconds of the lease clock (`app.store.clock`) and are
never mixed with them.
"""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from app.store.times import UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = String(64)
Sha256 = String(64)
Document = JSON(none_as_null=True)


def _tenant() -> Column[str]:
    return Column("tenant_id", Id, ForeignKey("tenants.id"), nullable=False)


def _job(*, primary_key: bool = False) -> Column[str]:
    return Column("job_id", Id, ForeignKey("jobs.id"), nullable=False, primary_key=primary_key)


def _created() -> Column[datetime]:
    return Column("created_at", UtcDateTime, nullable=False)


tenants = Table(
    "tenants",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    _created(),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("name", String(200), nullable=False),
    # The secret's first characters: shown in lists, and how a secret finds its row.
    Column("prefix", String(32), nullable=False, unique=True),
    Column("salt", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("scopes", Document, nullable=False),
    _created(),
    Column("expires_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Index(None, "tenant_id"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("part_bytes", BigInteger, nullable=False),
    Column("sha256", Sha256),
    Column("state", String(20), nullable=False),
    Column("blob", Sha256),
    _created(),
    # When a part last arrived: an upload is stale when nothing has come for long.
    Column("touched_at", UtcDateTime, nullable=False),
    Index(None, "state", "touched_at"),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("upload_id", Id, ForeignKey("uploads.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Sha256, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    Column("kind", String(20), nullable=False),
    Column("spec", Document, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("evaluate", Document),
    Column("release_if", Document),
    Column("metadata", Document, nullable=False),
    Column("state", String(20), nullable=False),
    # Grows with every visible change; the events of a job are numbered by it.
    Column("version", BigInteger, nullable=False),
    Column("cancel_requested_at", UtcDateTime),
    Column("deadline_seconds", Float),
    Column("deadline_at", UtcDateTime),
    Column("deadline_left", Float),  # seconds, kept while the job waits for a person
    _created(),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("retry_of", Id),
    Column("error", Document),
    Column("result", Document),
    Column("counts", Document, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    Column("gpu_seconds", Float, nullable=False),
    Column("awaiting", String(20)),  # from the task that asks for a person until the job is resumed
    Column("review", Document),  # what was said but for verdicts; None until the job first waits
    Index(None, "tenant_id", "id"),
    Index(None, "state", "deadline_at"),
)

job_labels = Table(
    "job_labels",
    metadata,
    _job(primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("value", Text, nullable=False),
)

job_inputs = Table(
    "job_inputs",
    metadata,
    _job(primary_key=True),
    Column("input_id", Id, ForeignKey("jobs.id"), primary_key=True),
    Column("pending", Boolean, nullable=False),
    Index(None, "input_id", "pending"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Id, primary_key=True),
    _job(),
    _tenant(),
    Column("stage", String(40), nullable=False),
    Column("stage_index", Integer, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("task_class", String(10), nullable=False),
    Column("state", String(20), nullable=False),
    Column("payload", Document, nullable=False),
    # With the id, the fence: grows with each claim.
    Column("attempt", Integer, nullable=False),
    Column("worker_id", String(200)),
    Column("lease_until", Float),
    # Which boot the lease clock's seconds of this row count from.
    Column("lease_boot", String(64)),
    Column("claimed_clock", Float),
    Column("delayed_until", Float),
    Column("crash_count", Integer, nullable=False),
    # The furthest that any attempt has come, now and when a worker last died over it.
    Column("watermark", Float, nullable=False),
    Column("crash_watermark", Float, nullable=False),
    Column("progress_value", Float, nullable=False),
    Column("progress_max", Float, nullable=False),
    Column("progress_event_clock", Float),
    Column("checkpoint_sha256", Sha256),
    Column("checkpoint_step", BigInteger),
    Column("result", Document),
    Column("error", Document),
    _created(),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("job_id", "stage", "shard"),
    # What a claim walks: a tenant's queued tasks of one class, oldest job first.
    Index("ix_tasks_claim", "tenant_id", "state", "task_class", "job_id", "stage_index", "shard"),
    Index(None, "state", "lease_until"),
    Index(None, "state", "task_class", "job_id"),
)

events = Table(
    "events",
    metadata,
    _job(primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("type", String(40), nullable=False),
    Column("data", Document, nullable=False),
    _created(),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    _job(),
    Column("name", String(200), nullable=False),
    Column("modality", String(20), nullable=False),
    Column("format", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("manifest", Document),
    Column("stats", Document),
    Column("error", Document),
    _created(),
    Index(None, "tenant_id", "id"),
    Index(None, "job_id"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Id, primary_key=True),
    _tenant(),
    _job(),
    Column("name", String(200), nullable=False),
    Column("sha256", Sha256, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("media_type", String(200), nullable=False),
    _created(),
    UniqueConstraint("job_id", "name"),
)


def _models(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("id", Id, primary_key=True),
        _tenant(),
        _job(),
        Column("files", Document, nullable=False),
        Column("config", Document, nullable=False),
        _created(),
        # A job makes at most one of each.
        UniqueConstraint("job_id"),
        Index(None, "tenant_id", "id"),
    )


generators = _models("generators")
classifiers = _models("classifiers")

blobs = Table(
    "blobs",
    metadata,
    Column("tenant_id", Id, ForeignKey("tenants.id"), primary_key=True),
    Column("sha256", Sha256, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    _created(),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", Id, ForeignKey("tenants.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    # None while the first request is still in flight.
    Column("status", Integer),
    Column("headers", Document),
    Column("body", LargeBinary),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

roles = Table(
    "roles",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("lease_boot", String(64), nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("classes", Document, nullable=False),
    Column("host", String(200), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_clock", Float, nullable=False),
    Column("seen_boot", String(64), nullable=False),
)
