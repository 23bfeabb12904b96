"""A home is served once at a time, and keeps a key that works."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.domain.records import ALL_SCOPES
from app.home import HomeTaken, first_key, lock_home
from app.settings import Settings
from app.store.database import Store
from app.supervisor import StackError


def test_a_home_that_is_served_is_refused_with_the_pid(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from app.home import lock_home
with lock_home(Path({str(tmp_path)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(HomeTaken, match=f"process {holder.pid};"), lock_home(tmp_path):
        pass
    holder.kill()
    holder.wait()
    with lock_home(tmp_path):
        assert (tmp_path / "serve.lock").read_text() == str(os.getpid())


def test_a_home_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StackError, match="cannot be the home: Not a directory"),
        lock_home(tmp_path / "file" / "home"),
    ):
        pass


def test_the_first_key_is_private_and_can_do_everything(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    path = first_key(settings)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    store = Store(settings.database)
    with store.write() as tx:
        principal = tx.keys.authenticate(path.read_text().strip())
        tenant = tx.tenants.by_name("default")
    store.close()
    assert principal is not None
    assert tenant is not None
    assert principal.tenant_id == tenant.id
    assert principal.scopes == ALL_SCOPES


def test_a_key_that_works_is_kept(tmp_path: Path) -> None:
    secret = first_key(Settings(home=tmp_path)).read_text()
    assert first_key(Settings(home=tmp_path)).read_text() == secret


def test_a_key_of_another_database_is_replaced(tmp_path: Path) -> None:
    secret = first_key(Settings(home=tmp_path)).read_text()
    for path in tmp_path.glob("cultivar.db*"):
        path.unlink()
    renewed = first_key(Settings(home=tmp_path))
    assert renewed.read_text() != secret
    assert stat.S_IMODE(renewed.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.partial"))
