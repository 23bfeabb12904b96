"""Archives that were made to harm: refused as a whole, and opened no further than it takes to know."""

import gzip
import resource
import struct
import tarfile
import time
import zipfile

import pytest

from models.raw.limits import MiB, RawLimits
from tests.models.raw.conftest import png, tar_bytes

OUTSIDE = ["../x.png", "a/../../b.png", "/etc/x.png", "..\\x.png", "C:\\x.png"]


@pytest.fixture
def zip_with(tmp_path, images):
    """Write an archive of honest images and one more entry."""

    def write(name, data=b"", mode=None, method=zipfile.ZIP_STORED):
        path = tmp_path / "set.zip"
        with zipfile.ZipFile(path, "w", method) as file:
            for entry, content in images.items():
                file.writestr(entry, content)
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.compress_type = method
            if mode is not None:
                info.external_attr = mode << 16
            file.writestr(info, data)
        return path

    return write


@pytest.fixture
def tar_with(tmp_path, images):
    """Write a tar of honest images and one more member."""

    def write(name, kind=tarfile.REGTYPE):
        path = tmp_path / "set.tar"
        info = tarfile.TarInfo(name)
        info.type = kind
        info.linkname = "/etc/passwd"
        path.write_bytes(info.tobuf() + tar_bytes(images))
        return path

    return write


@pytest.mark.parametrize("name", [*OUTSIDE, "a\0.png"])
def test_a_zip_entry_that_points_outside(name, zip_with, refusal):
    assert refusal(zip_with(name)).code == "archive_unsafe_entry"


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666])
def test_a_zip_entry_that_is_a_link_or_a_device(mode, zip_with, refusal):
    assert refusal(zip_with("ant/z.png", b"/etc/passwd", mode)).code == "archive_unsafe_entry"


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_tar_entry_that_points_outside(name, tar_with, refusal):
    assert refusal(tar_with(name)).code == "archive_unsafe_entry"


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_a_tar_entry_that_is_a_link_or_a_device(kind, tar_with, refusal):
    assert refusal(tar_with("ant/z.png", kind)).code == "archive_unsafe_entry"


def test_a_long_name_is_checked_as_well(tarred, images, refusal):
    long = "a/" * 80 + "../x.png"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tarred({**images, long: b""}, format=form)
        assert refusal(path).code == "archive_unsafe_entry"


def test_nothing_is_written_outside_the_folder(zip_with, refusal, tmp_path):
    refusal(zip_with("../escaped.png", png()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set.zip"]


@pytest.mark.parametrize("name", ["more.zip", "ant/more.tar.gz", "bee/x.7z"])
def test_an_archive_within_the_archive(name, zip_with, tar_with, refusal):
    assert refusal(zip_with(name)).code == "archive_too_large"
    assert refusal(tar_with(name)).code == "archive_too_large"


def test_an_archive_called_an_image_is_a_bad_item(images, zipped, ingest, tmp_path):
    inner = zipped(images, "inner.zip").read_bytes()
    stats = ingest(zipped({**images, "ant/x.jpg": inner}))["stats"]
    assert stats["rejected_by_code"] == {"not_an_image": 1}


def test_a_pickle_within_the_archive(zip_with, tar_with, refusal):
    assert refusal(zip_with("ant/x.pkl")).code == "unsafe_pickle"
    assert refusal(tar_with("ant/x.pkl")).code == "unsafe_pickle"


def test_a_zip_bomb_is_refused_by_its_ratio(zip_with, refusal):
    path = zip_with("ant/x.png", bytes(100 * MiB), method=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < MiB
    assert refusal(path).code == "archive_too_large"


def test_a_zip_entry_that_is_longer_than_it_claims(zip_with, refusal):
    path = zip_with("ant/x.png", bytes(5000), method=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, 100)
    path.write_bytes(data)
    assert refusal(path).code == "archive_too_large"


def test_zip_entries_that_overlap(images, zipped, refusal):
    path = zipped(images)
    data = bytearray(path.read_bytes())
    first, second = data.find(b"PK\x01\x02"), data.find(b"PK\x01\x02", data.find(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    data[second + 46 : second + 55] = data[first + 46 : first + 55]
    path.write_bytes(data)
    assert refusal(path).code == "archive_too_large"


def test_a_gzip_bomb_is_stopped_while_it_unpacks(saved, refusal):
    bomb = gzip.compress(bytes(200 * MiB), 9)
    assert len(bomb) < MiB
    assert refusal(saved("set.tar", bomb)).code == "archive_too_large"


def test_an_unpacked_tar_is_bounded_whatever_its_ratio(images, saved, refusal):
    path = saved("set.tar", gzip.compress(tar_bytes(images)))
    problem = refusal(path, limits=RawLimits(max_array_bytes=20_000))
    assert problem.code == "archive_too_large"


def test_a_zip_of_a_million_entries_is_refused_at_once(tmp_path, refusal):
    name = b"x.png"
    central = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name  # fmt: skip
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    body = central * 1_000_000
    for claimed in (10**6, 2):  # its own count is not believed
        end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, claimed, claimed, len(body), len(local))  # fmt: skip
        locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(local) + len(body), 1)
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)  # fmt: skip
        (tmp_path / "set.zip").write_bytes(local + body + end64 + locator + end)
        before, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert refusal(tmp_path / "set.zip").code == "archive_too_many_entries"
        assert time.monotonic() - before < 3
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 120 * 1024


def test_a_tar_of_too_many_entries(tarred, images, refusal):
    problem = refusal(tarred(images), limits=RawLimits(max_entries=19))
    assert problem.code == "archive_too_many_entries"


def test_a_directory_beyond_its_bound(zipped, images, refusal):
    problem = refusal(zipped(images), limits=RawLimits(max_directory=100))
    assert problem.code == "archive_too_many_entries"


@pytest.mark.parametrize("end", [100, 700, 5000])
def test_a_tar_that_is_cut_off(end, tarred, images, refusal, saved):
    path = saved("cut.tar", tarred(images).read_bytes()[:end])
    assert refusal(path).code in ("truncated_file", "format_mismatch")


def test_a_compressed_tar_that_is_cut_off(images, saved, refusal):
    path = saved("set.tar", gzip.compress(tar_bytes(images))[:-20])
    assert refusal(path).code == "truncated_file"


def test_a_compressed_tar_that_is_damaged(images, saved, refusal):
    data = bytearray(gzip.compress(tar_bytes(images)))
    data[len(data) // 2] ^= 255
    assert refusal(saved("set.tar", bytes(data))).code in ("bad_archive", "truncated_file")


def test_a_tar_header_whose_checksum_is_wrong(tarred, images, refusal):
    path = tarred(images)
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    problem = refusal(path)
    assert problem.code == "bad_archive"
    assert "checksum" in problem.detail


def test_a_tar_behind_a_tar_is_not_left_out_in_silence(images, saved, refusal):
    path = saved("set.tar", tar_bytes(images) + tar_bytes({"ant/more.png": png(50)}))
    assert "bytes follow" in refusal(path).detail


def test_a_sparse_member_is_not_expanded(tar_with, refusal):
    assert refusal(tar_with("ant/x.png", tarfile.GNUTYPE_SPARSE)).code == "bad_archive"


def test_the_same_name_twice_in_a_tar(images, saved, refusal):
    first = tar_bytes({"ant/0.png": png()})[:1024]
    path = saved("set.tar", first + tar_bytes(images))
    assert "twice" in refusal(path).detail


def test_a_tar_whose_headers_claim_gigabytes_of_names(saved, refusal):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 << 30
    assert (
        refusal(saved("set.tar", info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))).code
        == "archive_too_large"
    )


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_every_dialect_of_tar(form, images, tarred, ingest):
    folder = "a" * 60 + "/" + "b" * 60 + "/"
    files = {folder + name: data for name, data in images.items()}
    manifest = ingest(tarred(files, format=form))
    assert manifest["class_counts"] == {"ant": 10, "bee": 10}


@pytest.mark.parametrize(("kind", "content"), [
    ("zip", b"hello"), ("tar", b"hello" * 200), ("tar", b"PK\x03\x04" + bytes(600)), ("parquet", b"PK\x03\x04"),
    ("webdataset", b"BZh91AY"), ("zip", b"\x1f\x8b\x08"),
])  # fmt: skip
def test_a_file_of_another_format(kind, content, saved, refusal):
    assert refusal(saved("set.x", content), format=kind).code == "format_mismatch"


def test_an_empty_file_and_a_pickle(saved, refusal):
    assert refusal(saved("a.zip", b"")).code == "empty_file"
    assert refusal(saved("b.zip", b"\x80\x04\x95")).code == "unsafe_pickle"


def test_text_sent_as_images_is_refused(saved, refusal):
    assert refusal(saved("set.csv", "image,label\n")).code == "unsupported_media_type"
