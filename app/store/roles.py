"""Roles that one process plays at a time, each held by a lease."""

import os
import secrets
import socket

from sqlalchemy import delete, or_, update

from app.store.tables import roles
from app.store.work import Work


def new_holder() -> str:
    """Return a name to hold roles by, which tells an operator the process, and is no other's."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Roles:
    def __init__(self, work: Work) -> None:
        self._work = work

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or keep a role for some seconds; False while another process holds it."""
        now, boot = self._work.lease_now(), self._work.boot_id
        lease = {"holder": holder, "lease_until": now + seconds, "lease_boot": boot}
        if self._work.insert_unless_there(roles, name=name, **lease):
            return True
        free = or_(roles.c.holder == holder, roles.c.lease_until < now, roles.c.lease_boot != boot)
        return self._work.run(update(roles).where(roles.c.name == name, free).values(**lease)) == 1

    def give_up(self, name: str, holder: str) -> None:
        """Let another process take the role at once."""
        self._work.run(delete(roles).where(roles.c.name == name, roles.c.holder == holder))
