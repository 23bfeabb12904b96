"""A zip that is written entry by entry: any reader opens it, equal contents are equal bytes."""

import zipfile
from pathlib import Path

import pytest

from workers.pipelines.stored_zip import StoredZip


def test_python_reads_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3_000_000))
    with StoredZip(tmp_path / "a.zip") as zipped:
        zipped.add("ключ/Ä.png", b"image")
        zipped.add("empty", b"")
        zipped.add_file("large.bin", tmp_path / "large")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["ключ/Ä.png", "empty", "large.bin"]
        assert archive.read("ключ/Ä.png") == b"image"
        assert len(archive.read("large.bin")) == 3_000_000
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)
        assert archive.infolist()[0].external_attr >> 16 == 0o100644


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with StoredZip(tmp_path / name) as zipped:
            zipped.add("one", b"1")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_nothing_but_the_zip_is_left_in_its_folder(tmp_path: Path) -> None:
    with StoredZip(tmp_path / "a.zip"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == []


def test_more_entries_than_the_plain_format_counts(tmp_path: Path) -> None:
    with StoredZip(tmp_path / "many.zip") as zipped:
        for number in range(66_000):
            zipped.add(str(number), b"x")
    with zipfile.ZipFile(tmp_path / "many.zip") as archive:
        assert len(archive.namelist()) == 66_000
        assert archive.read("65999") == b"x"


def test_entries_beyond_four_gibibytes_are_found(tmp_path: Path) -> None:
    """The middle of the file is a hole, which costs no disk."""
    with StoredZip(tmp_path / "far.zip") as zipped:
        zipped.add("near", b"1")
        zipped._file.seek(5 << 30)
        zipped.add("far", b"22")
        zipped.add("farther", b"333")
    with zipfile.ZipFile(tmp_path / "far.zip") as archive:
        assert [archive.read(name) for name in archive.namelist()] == [b"1", b"22", b"333"]
        assert archive.getinfo("far").header_offset == 5 << 30


def test_what_was_not_finished_is_no_zip(tmp_path: Path) -> None:
    def interrupted() -> None:
        with StoredZip(tmp_path / "half.zip") as zipped:
            zipped.add("one", b"1")
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert not zipfile.is_zipfile(tmp_path / "half.zip")
