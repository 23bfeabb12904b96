"""Every setting of the service, read from `CULTIVAR_*` once and never changed."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MiB = 1 << 20
GiB = 1 << 30


def _address(*beginnings: str) -> AfterValidator:
    """Refuse an address of another kind, whose words stay untold: a password may be among them."""

    def check(value: str) -> str:
        if value and not value.startswith(beginnings):
            raise ValueError(f"expected is {', '.join(f'{one}…' for one in beginnings)}")
        return value

    return AfterValidator(check)


class Settings(BaseSettings):
    """See `docs/settings.md`; each field is `CULTIVAR_` + its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="CULTIVAR_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    home: Path = Path("~/.cultivar").expanduser()
    """Where the embedded stack keeps database, blobs, Redis' append-only file and its key."""

    database_url: Annotated[str, _address("sqlite:///", "postgresql+psycopg://")] | None = None
    """`postgresql+psycopg://…` or `sqlite:///…`; by default SQLite under `home`."""

    redis_url: str | None = None
    """`redis://…` or `unix://…`; by default `serve` starts a Redis of its own."""

    blob_url: Annotated[str, _address("file:///", "s3://", "gs://", "az://")] | None = None
    """`s3://bucket/prefix` (or gs://, az://, `file:///folder`); by default a folder under `home`."""

    redirect_downloads: bool = True
    """Whether downloads are sent on to an object store, which clients must then be able to reach."""

    host: str = "127.0.0.1"
    """Where the API listens. Anything but loopback is the operator's decision."""

    port: Annotated[int, Field(ge=0, le=65535)] = 8321
    """Port of the API; 0 takes a free one."""

    allowed_hosts: str = "localhost,127.0.0.1,[::1]"
    """Host headers that are answered, separated by commas; `*` for any."""

    worker_classes: str = "cpu,gpu"
    """Classes of tasks that a worker started here serves."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Workers that `serve` starts."""

    torch_threads: Annotated[int, Field(ge=1)] = 1
    """Threads of a worker's child. More than one busy thread a core makes everything slower."""

    lease_seconds: Annotated[float, Field(gt=0)] = 30.0
    """How long a silent worker keeps its task."""

    heartbeat_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often a worker renews its lease."""

    reconcile_seconds: Annotated[float, Field(gt=0)] = 1.0
    """How often lost tasks and lost bells are looked for."""

    poll_seconds: Annotated[float, Field(gt=0)] = 1.0
    """How often an idle worker looks at the database without having been rung; a look takes it about a millisecond."""

    max_crashes: Annotated[int, Field(ge=1)] = 3
    """Worker deaths without progress in between after which a job fails with `crash_loop`."""

    collect_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """How often blobs that nothing names any more are looked for."""

    collect_grace_seconds: Annotated[float, Field(gt=0)] = 86400.0
    """How long such a blob stays, twice: at its place, then set aside. Must exceed what clocks differ by."""

    no_progress_seconds: Annotated[float, Field(gt=0)] = 600.0
    """How long a task may run without progress before it fails with `no_progress`."""

    cancel_grace_seconds: Annotated[float, Field(gt=0)] = 4.0
    """How long a canceled child may take to stop by itself before it is terminated."""

    drain_seconds: Annotated[float, Field(gt=0)] = 20.0
    """How long a worker that is told to end may take to save a checkpoint."""

    max_upload_bytes: Annotated[int, Field(ge=1)] = 64 * GiB
    """Largest file taken."""

    part_bytes: Annotated[int, Field(ge=1)] = 64 * MiB
    """Size of an upload's parts."""

    max_body_bytes: Annotated[int, Field(ge=1)] = 4 * MiB
    """Largest JSON body taken."""

    max_array_bytes: Annotated[int, Field(ge=1)] = 64 * GiB
    """Largest decoded array or table taken."""

    decode_memory_bytes: Annotated[int, Field(ge=1)] = 4 * GiB
    """Memory that a child which decodes untrusted files may take."""

    decode_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """Time that a child which decodes untrusted files may take."""

    models: str = ""
    """Folders with local models, separated by the system's path separator."""

    model_downloads: bool = True
    """Whether a job may download a model of the allow-list that its spec names and that is not at hand."""

    log_level: str = "INFO"
    """Of the service's own log lines, on standard error."""

    @property
    def database(self) -> str:
        """URL of the database in use."""
        return self.database_url or f"sqlite:///{self.home / 'cultivar.db'}"

    @property
    def blobs(self) -> str:
        """URL of the blob store in use; ``file://`` for a local folder."""
        return self.blob_url or (self.home.absolute() / "blobs").as_uri()
