"""Artifacts: the files of a job's result."""

from collections.abc import Iterable

from sqlalchemy import RowMapping, insert, select

from app.domain.ids import new_id
from app.domain.records import Artifact
from app.domain.tasks import NewArtifact
from app.store.tables import artifacts
from app.store.work import Work


class Artifacts:
    def __init__(self, work: Work) -> None:
        self._work = work

    def add(self, tenant_id: str, job_id: str, made: Iterable[NewArtifact]) -> None:
        """Make rows of files whose bytes are in the blob store; a job has one of each name."""
        for artifact in made:
            self._work.run(
                insert(artifacts).values(
                    id=new_id("art"),
                    tenant_id=tenant_id,
                    job_id=job_id,
                    name=artifact.name,
                    sha256=artifact.sha256,
                    bytes=artifact.bytes,
                    media_type=artifact.media_type,
                    created_at=self._work.now(),
                )
            )

    def list(self, tenant_id: str, job_id: str) -> list[Artifact]:
        """Return a job's artifacts by name."""
        mine = select(artifacts).where(
            artifacts.c.tenant_id == tenant_id, artifacts.c.job_id == job_id
        )
        return [_artifact(row) for row in self._work.rows(mine.order_by(artifacts.c.name))]

    def get(self, tenant_id: str, artifact_id: str) -> Artifact | None:
        mine = select(artifacts).where(
            artifacts.c.tenant_id == tenant_id, artifacts.c.id == artifact_id
        )
        row = self._work.row(mine)
        return _artifact(row) if row else None


def _artifact(row: RowMapping) -> Artifact:
    return Artifact(
        id=row["id"],
        tenant_id=row["tenant_id"],
        job_id=row["job_id"],
        name=row["name"],
        sha256=row["sha256"],
        bytes=row["bytes"],
        media_type=row["media_type"],
        created_at=row["created_at"],
    )
