"""Uploads: files on their way in, part by part."""

from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, delete, insert, select, update

from app.domain.ids import new_id
from app.domain.problems import Conflict, NotFound
from app.domain.records import Part, Upload, UploadState
from app.store.register import Register
from app.store.tables import upload_parts, uploads
from app.store.work import Work


class Uploads:
    def __init__(self, work: Work) -> None:
        self._work = work

    def create(
        self, tenant_id: str, filename: str, size: int, sha256: str | None, part_bytes: int
    ) -> Upload:
        """Begin an upload of ``size`` bytes."""
        now = self._work.now()
        upload = Upload(
            id=new_id("up"),
            tenant_id=tenant_id,
            filename=filename,
            bytes=size,
            part_bytes=part_bytes,
            sha256=sha256,
            state=UploadState.RECEIVING,
            created_at=now,
        )
        self._work.run(
            insert(uploads).values(
                id=upload.id,
                tenant_id=tenant_id,
                filename=filename,
                bytes=size,
                part_bytes=part_bytes,
                sha256=sha256,
                state=UploadState.RECEIVING,
                created_at=now,
                touched_at=now,
            )
        )
        return upload

    def get(self, tenant_id: str, upload_id: str) -> Upload | None:
        row = self._work.row(select(uploads).where(*_mine(tenant_id, upload_id)))
        return self._upload(row) if row else None

    def record_part(
        self, tenant_id: str, upload_id: str, number: int, size: int, sha256: str
    ) -> None:
        """Note that a part's bytes are on disk; a part sent again replaces the first.

        Raises:
            NotFound: there is no such upload.
            Conflict: it is complete.
        """
        touch = update(uploads).where(
            *_mine(tenant_id, upload_id), uploads.c.state == UploadState.RECEIVING
        )
        if not self._work.run(touch.values(touched_at=self._work.now())):
            self._refuse(tenant_id, upload_id)
        self._work.upsert(
            upload_parts, upload_id=upload_id, number=number, bytes=size, sha256=sha256
        )

    def complete(self, tenant_id: str, upload_id: str, blob: str, size: int) -> Upload:
        """Say which blob the parts became; the same again changes nothing.

        Raises:
            NotFound: there is no such upload.
            Conflict: it became another blob.
        """
        done = update(uploads).where(
            *_mine(tenant_id, upload_id), uploads.c.state == UploadState.RECEIVING
        )
        # What was promised has been found; where nothing was, this is what the client learns.
        values = {"state": UploadState.COMPLETE, "blob": blob, "sha256": blob, "bytes": size}
        self._work.run(done.values(**values, touched_at=self._work.now()))
        upload = self.get(tenant_id, upload_id)
        if upload is None or upload.blob != blob:
            self._refuse(tenant_id, upload_id)
        assert upload is not None
        Register(self._work).add(tenant_id, blob, size)
        return upload

    def delete(self, tenant_id: str, upload_id: str) -> bool:
        """Forget an upload; False if there is none."""
        # Locked, so that a part which comes in now is before the delete, or finds no upload.
        mine = select(uploads.c.id).where(*_mine(tenant_id, upload_id)).with_for_update()
        if self._work.row(mine) is None:
            return False
        self._work.run(delete(upload_parts).where(upload_parts.c.upload_id == upload_id))
        return self._work.run(delete(uploads).where(*_mine(tenant_id, upload_id))) == 1

    def stale(self, older_than: datetime) -> list[Upload]:
        """Return unfinished uploads, of any tenant, that have received nothing since ``older_than``."""
        forgotten = select(uploads).where(
            uploads.c.state == UploadState.RECEIVING, uploads.c.touched_at < older_than
        )
        return [self._upload(row) for row in self._work.rows(forgotten.limit(1000))]

    def _refuse(self, tenant_id: str, upload_id: str) -> None:
        if self.get(tenant_id, upload_id) is None:
            raise NotFound("upload")
        raise Conflict("The upload is complete already.", code="upload_complete")

    def _upload(self, row: RowMapping) -> Upload:
        parts = select(upload_parts).where(upload_parts.c.upload_id == row["id"])
        return Upload(
            id=row["id"],
            tenant_id=row["tenant_id"],
            filename=row["filename"],
            bytes=row["bytes"],
            part_bytes=row["part_bytes"],
            sha256=row["sha256"],
            state=UploadState(row["state"]),
            created_at=row["created_at"],
            blob=row["blob"],
            parts=tuple(
                Part(part["number"], part["bytes"], part["sha256"])
                for part in self._work.rows(parts.order_by(upload_parts.c.number))
            ),
        )


def _mine(tenant_id: str, upload_id: str) -> tuple[ColumnElement[bool], ...]:
    return (uploads.c.tenant_id == tenant_id, uploads.c.id == upload_id)
