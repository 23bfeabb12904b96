"""A folder becomes one zip, whose bytes depend on the files alone."""

import os
import zipfile

import pytest

from cultivar import ConfigurationError
from cultivar._packing import as_zip


@pytest.fixture
def folder(tmp_path):
    for name in ("owl/b.png", "owl/a.png", "jay/c.png", ".git/x", "jay/.DS_Store"):
        path = tmp_path / "birds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "birds"


def test_files_go_in_by_name_and_hidden_ones_stay_out(folder):
    with as_zip(folder) as packed, zipfile.ZipFile(packed) as archive:
        assert packed.name == "birds.zip"
        assert archive.namelist() == ["jay/c.png", "owl/a.png", "owl/b.png"]
        assert archive.read("owl/a.png") == b"owl/a.png"
    assert not packed.exists()


def test_the_same_files_are_the_same_bytes_whenever_they_were_touched(folder):
    with as_zip(folder) as packed:
        first = packed.read_bytes()
    os.utime(folder / "owl/a.png", (0, 0))
    with as_zip(folder) as packed:
        assert packed.read_bytes() == first


def test_links_are_followed(folder, tmp_path):
    (folder / "owl/d.png").symlink_to(folder / "jay/c.png")
    with as_zip(folder) as packed, zipfile.ZipFile(packed) as archive:
        assert archive.read("owl/d.png") == b"jay/c.png"


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="no file"), as_zip(tmp_path):
        pass
