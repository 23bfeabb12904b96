"""The operator's commands on tenants, keys and blobs."""

import os
from pathlib import Path

import pytest

from app.__main__ import main
from app.domain.records import Principal
from app.store.blobs import LocalBlobs
from app.store.database import Store


@pytest.fixture(autouse=True)
def _database(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CULTIVAR_DATABASE_URL", database_url)
    monkeypatch.setenv("CULTIVAR_HOME", str(tmp_path))


def test_blobs_are_collected_by_hand_unless_another_process_is_at_it(
    capsys: pytest.CaptureFixture[str], database_url: str, tmp_path: Path
) -> None:
    (tenant_id,) = admin(capsys, "tenants", "create", "birds")
    blob = LocalBlobs(tmp_path / "blobs").put_bytes(tenant_id, b"unnamed")
    file = tmp_path / "blobs" / tenant_id / blob.sha256[:2] / blob.sha256
    os.utime(file, (0, 0))
    for words in (["collect", "--dry-run"], ["collect"]):
        assert file.exists()
        lines = [line.split(maxsplit=1) for line in admin(capsys, *words)]
        assert {name: int(value) for value, name in lines} == {
            "cleared": 0, "rows": 0, "set aside": 1, "destroyed": 0, "set aside bytes": 7,
            "destroyed bytes": 0,
        }  # fmt: skip
    assert not file.exists()
    store = Store(database_url)
    with store.write() as tx:
        assert tx.roles.hold("blobs", "a backup", 60)
    store.close()
    assert "try again later" in refused(capsys, "collect")


def authenticate(database_url: str, secret: str) -> Principal | None:
    store = Store(database_url)
    try:
        with store.write() as tx:
            return tx.keys.authenticate(secret)
    finally:
        store.close()


def admin(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    status = main(["admin", *words])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured.out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["admin", *words]) == 1
    return capsys.readouterr().err


def make_key(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    key_line, secret_line, _ = admin(capsys, "keys", "create", *words)
    return key_line.split()[1], secret_line.split()[1]


def test_a_tenant_is_made_listed_and_made_only_once(capsys: pytest.CaptureFixture[str]) -> None:
    (tenant_id,) = admin(capsys, "tenants", "create", "birds")
    assert [line.split()[0] for line in admin(capsys, "tenants", "list")] == [tenant_id]
    assert "already" in refused(capsys, "tenants", "create", "birds")


def test_a_key_opens_its_tenant_until_it_is_revoked(
    capsys: pytest.CaptureFixture[str], database_url: str
) -> None:
    (tenant_id,) = admin(capsys, "tenants", "create", "birds")
    key_id, secret = make_key(capsys, "birds", "--scopes", "jobs:read,jobs:write")
    principal = authenticate(database_url, secret)
    assert principal is not None
    assert (principal.tenant_id, principal.key_id) == (tenant_id, key_id)
    assert principal.scopes == {"jobs:read", "jobs:write"}
    (line,) = admin(capsys, "keys", "list", tenant_id)
    assert "active" in line
    assert secret not in line
    admin(capsys, "keys", "revoke", "birds", key_id)
    assert authenticate(database_url, secret) is None
    assert "revoked" in admin(capsys, "keys", "list", "birds")[0]


def test_an_expired_key_is_refused_and_shown_as_such(
    capsys: pytest.CaptureFixture[str], database_url: str
) -> None:
    admin(capsys, "tenants", "create", "birds")
    _, secret = make_key(capsys, "birds", "--days", "-1")
    assert authenticate(database_url, secret) is None
    assert "expired" in admin(capsys, "keys", "list", "birds")[0]


def test_what_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    admin(capsys, "tenants", "create", "birds")
    admin(capsys, "tenants", "create", "bees")
    key_id, _ = make_key(capsys, "bees")
    assert "no tenant 'fish'" in refused(capsys, "keys", "list", "fish")
    assert "jobs:fly" in refused(capsys, "keys", "create", "birds", "--scopes", "jobs:fly")
    assert "no key" in refused(capsys, "keys", "revoke", "birds", key_id)
