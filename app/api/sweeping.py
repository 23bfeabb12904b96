"""Staged parts whose upload is gone (given up, stale, or finished as the process died) are removed."""

import asyncio
import logging

from app.api.context import Services
from app.api.staging import Staging, staged
from app.domain.problems import Unavailable
from app.domain.records import UploadState

log = logging.getLogger("cultivar.api")

_EVERY_SECONDS = 3600.0


async def sweep_forever(services: Services) -> None:
    """Sweep now and every hour, until canceled."""
    while True:
        try:
            removed = await asyncio.to_thread(sweep, services)
        except (OSError, Unavailable) as error:
            log.warning("staged parts could not be swept: %s", error)
        else:
            if removed:
                log.info("removed the staged parts of %d uploads", removed)
        await asyncio.sleep(_EVERY_SECONDS)


def sweep(services: Services) -> int:
    """Remove what no upload in progress owns; return how many folders went."""
    folder = services.blobs.staging
    removed = 0
    for tenant_id, upload_id in staged(folder):
        with services.store.read() as tx:
            upload = tx.uploads.get(tenant_id, upload_id)
        # The row is older than its parts, so nothing that is about to begin is taken away.
        if upload is None or upload.state is not UploadState.RECEIVING:
            Staging(folder, tenant_id).remove(upload_id)
            removed += 1
    return removed
