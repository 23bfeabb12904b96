"""`python -m app admin backup`, `verify` and `restore`, as an operator calls them."""

from pathlib import Path

import pytest

from app.__main__ import main
from app.domain.records import ALL_SCOPES
from app.settings import Settings
from app.store.blobs import open_blobs
from app.store.database import Store
from tests.app.backup.conftest import House


def run(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> tuple[int, str]:
    """Return the exit status and all that was printed."""
    status = main(["admin", "--home", str(home), *words])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return status, captured.out + captured.err


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a service with something in it."""
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir()
    store = Store(settings.database)
    store.migrate()
    House(store, open_blobs(settings.blobs, settings.home)).live_in()
    store.close()
    return settings.home


def test_a_home_moves_with_its_keys(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    with_key = Store(Settings(home=home).database)
    with with_key.write() as tx:
        _, secret = tx.keys.create(tx.tenants.list()[0].id, "mine", ALL_SCOPES)
    with_key.close()
    backup = str(tmp_path / "backup")
    assert run(capsys, home, "backup", backup)[0] == 0
    status, said = run(capsys, home, "verify", backup)
    assert status == 0
    assert "all there, with their sha-256" in said
    status, said = run(capsys, tmp_path / "new", "restore", backup)
    assert status == 0, said
    assert run(capsys, tmp_path / "new", "verify")[0] == 0
    store = Store(Settings(home=tmp_path / "new").database)
    with store.write() as tx:
        assert tx.keys.authenticate(secret) is not None
    store.close()


def test_what_is_wrong_is_the_exit_status_and_a_sentence(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    blob = next(path for path in (home / "blobs").glob("ten_*/*/*") if path.is_file())
    blob.unlink()
    status, said = run(capsys, home, "verify")
    assert status == 1
    assert f"missing     {blob.parent.parent.name}/{blob.name} of " in said
    assert said.endswith("error: something is wrong: missing blobs: 1\n")
    status, said = run(capsys, home, "backup", str(tmp_path / "backup"))
    assert status == 1
    assert "the backup is finished, but" in said


def test_where_there_is_nothing_a_sentence_says_so_and_nothing_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    for words in (["verify"], ["backup", str(tmp_path / "backup")]):
        status, said = run(capsys, nowhere, *words)
        assert (status, "there is no database" in said) == (1, True)
    for verb in ("verify", "restore"):
        status, said = run(capsys, nowhere, verb, str(tmp_path / "no-backup"))
        assert (status, "is no folder" in said) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_tables_is_said_to_be_empty_and_nothing_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "cultivar.db").touch()
    for words in (["verify"], ["backup", str(tmp_path / "backup")]):
        status, said = run(capsys, home, *words)
        assert (status, "the database is empty" in said) == (1, True), said
    assert not (tmp_path / "backup").exists()


def test_a_place_that_cannot_be_written_to_is_named(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    status, said = run(capsys, home, "backup", str(tmp_path / "file" / "backup"))
    assert status == 1
    assert str(tmp_path / "file") in said


def test_a_damaged_database_is_reported_in_words(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    file = home / "cultivar.db"
    data = bytearray(file.read_bytes())
    data[8192:-4096] = b"\x5a" * (len(data) - 8192 - 4096)
    file.write_bytes(data)
    status, said = run(capsys, home, "verify")
    assert status == 1
    assert said.splitlines()[-1].startswith("error: ")


def test_a_database_of_a_later_version_is_left_alone(
    capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path
) -> None:
    run(capsys, home, "backup", str(tmp_path / "backup"))
    store = Store(Settings(home=home).database)
    with store.write() as tx:
        tx.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    for words in (["verify"], ["restore", str(tmp_path / "backup")], ["tenants", "list"]):
        status, said = run(capsys, home, *words)
        assert (status, "has schema 9999" in said) == (1, True), words
