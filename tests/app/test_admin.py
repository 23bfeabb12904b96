"""The operator's commands on tenants, keys and blobs."""

import os
from pathlib import Path

import pytest

from app.__main__ import main
from app.domain.records import Principal
from app.store.blobs import LocalBlobs
from app.store.database import Store
from app.store.garbage import Collector


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
        lines = admin(capsys, *words)
        assert ("nothing was done" in lines[0]) == ("--dry-run" in words)
        assert lines[-2:] == [
            "set aside    1 blobs (7 B)",
            "destroyed    0 blobs (0 B)",
        ]
    assert not file.exists()
    store = Store(database_url)
    with store.write() as tx:
        assert tx.roles.hold("blobs", "a backup", 60)
    store.close()
    assert "try again later" in refused(capsys, "collect")


def test_a_wrong_home_is_not_made_into_one_by_collecting(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CULTIVAR_DATABASE_URL")
    monkeypatch.setenv("CULTIVAR_HOME", str(tmp_path / "mistyped"))
    assert "there is no database" in refused(capsys, "collect")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words", [["tenants", "list"], ["collect"], ["verify"], ["backup", "copy"]], ids=" ".join
)
def test_a_file_that_is_no_database_is_a_sentence(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "junk").write_bytes(bytes(range(256)) * 40)
    monkeypatch.setenv("CULTIVAR_DATABASE_URL", f"sqlite:///{tmp_path / 'junk'}")
    said = refused(capsys, *words)
    assert said == "error: the database cannot be used: file is not a database\n"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CULTIVAR_BLOB_URL", "http://u:secret@host/bucket", "s3://…"),
        ("CULTIVAR_DATABASE_URL", "postgresql://u:secret@host/db", "postgresql+psycopg://…"),
    ],
)
def test_an_address_of_another_kind_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    expected: str,
) -> None:
    monkeypatch.setenv(name, value)
    said = refused(capsys, "tenants", "list")
    assert said.startswith(f"error: {name}: expected is ")
    assert expected in said
    assert "secret" not in said


def test_an_interrupted_command_ends_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin(capsys, "tenants", "list")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Collector, "run_once", interrupted)
    assert refused(capsys, "collect").startswith("error: interrupted")


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
