"""npz archives that were made to harm: none is opened further than it takes to know."""

import io
import resource
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest

from models.embeddings.limits import Limits, MiB


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.fixture
def archive(tmp_path, x, y):
    """Write an archive with honest x and y, and whatever ``fill`` puts beside them."""

    def write(fill=lambda file: None, compression=zipfile.ZIP_STORED):
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(path, "w", compression) as file:
            file.writestr("x.npy", npy(x))
            file.writestr("y.npy", npy(y))
            fill(file)
        return path

    return write


def put(name, data=b"", mode=None):
    def fill(file):
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name
        if mode is not None:
            info.external_attr = mode << 16
        file.writestr(info, data)

    return fill


@pytest.mark.parametrize("name", ["../x.npy", "a/../../b", "/etc/x.npy", "..\\x.npy", "C:\\x.npy", "C:x.npy", "a\0.npy"])  # fmt: skip
def test_names_that_point_outside(name, archive, refusal):
    problem = refusal(archive(put(name)))
    assert problem.code == "archive_unsafe_entry"
    assert "outside" in problem.detail


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o140777])
def test_links_and_devices(mode, archive, refusal):
    assert refusal(archive(put("z.npy", b"/etc/passwd", mode))).code == "archive_unsafe_entry"


def test_plain_files_folders_and_readmes_do_no_harm(archive, ingest):
    def fill(file):
        file.writestr("README.txt", "where this came from")
        file.mkdir("folder")
        put("extra.npy", npy(np.zeros(3)), 0o100644)(file)

    assert ingest(archive(fill))["rows"] == 300


@pytest.mark.parametrize("name", ["inner.zip", "inner.npz", "a.tar.gz", "b.7z"])
def test_an_archive_within(name, archive, refusal):
    problem = refusal(archive(put(name, b"PK\x03\x04")))
    assert problem.code == "archive_too_large"
    assert "within" in problem.detail


def test_an_archive_within_under_an_arrays_name(archive, refusal):
    problem = refusal(archive(put("s.npy", b"PK\x03\x04" + b"0" * 100)), split="s")
    assert problem.code == "archive_too_large"


def test_a_checkpoint_in_disguise(archive, refusal):
    assert refusal(archive(put("archive/data.pkl", b"\x80\x02"))).code == "unsafe_pickle"


def test_a_bomb_by_ratio_is_known_before_it_is_opened(archive, refusal):
    def fill(file):
        file.writestr("z.npy", bytes(100 * MiB))

    path = archive(fill, zipfile.ZIP_DEFLATED)
    before = time.monotonic()
    problem = refusal(path)
    assert problem.code == "archive_too_large"
    assert "100 MiB" in problem.detail
    assert time.monotonic() - before < 1


def test_sorted_labels_compress_well_and_are_no_bomb(npz, tmp_path, ingest):
    rows = 200_000
    path = tmp_path / "many.npz"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2)).astype(np.float32)
    np.savez_compressed(path, x=x, y=np.repeat(np.arange(2), rows // 2))
    assert ingest(path)["rows"] == rows


def test_the_sum_of_all_entries_is_held_against_the_limit(archive, refusal):
    problem = refusal(archive(), limits=Limits(max_array_bytes=7000))
    assert problem.code == "archive_too_large"
    assert "together" in problem.detail


def test_a_million_entries_are_refused_unread(tmp_path, refusal):
    name = b"0123456789abcdef.npy"
    central = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name  # fmt: skip
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    body = central * 1_000_000
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, len(body), len(local))  # fmt: skip
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(local) + len(body), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "a.npz").write_bytes(local + body + end64 + locator + end)
    before, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problem = refusal(tmp_path / "a.npz")
    assert problem.code == "archive_too_many_entries"
    assert "1,000,000" in problem.detail
    assert time.monotonic() - before < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 20 * 1024


def test_a_directory_longer_than_its_count_is_counted_by_its_bytes(archive, refusal):
    def fill(file):
        for number in range(20):
            file.writestr(f"{number}.npy", b"")

    path = archive(fill)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x05\x06")
    data[at + 8 : at + 12] = struct.pack("<2H", 2, 2)
    path.write_bytes(data)
    assert refusal(path, limits=Limits(max_entries=10)).code == "archive_too_many_entries"


def twin(data, name):
    """Make the directory's entry ``y.npy`` point at the bytes of ``x.npy``, as a bomb would."""
    central = data.rfind(b"PK\x01\x02")
    first = data.find(b"PK\x01\x02")
    data[central + 42 : central + 46] = data[first + 42 : first + 46]
    data[central + 46 : central + 46 + len(name)] = name
    return data


def test_entries_that_overlap(archive, refusal):
    path = archive()
    data = bytearray(path.read_bytes())
    path.write_bytes(twin(data, b"x.npy"))
    problem = refusal(path)
    assert problem.code == "archive_too_large"
    assert "overlaps" in problem.detail


def test_an_entry_that_quotes_another(tmp_path, refusal):
    """Fifield's bomb: the data of one entry contain the local header and data of the next."""

    def local(name, data):
        crc = zlib.crc32(data)
        return struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, crc, len(data), len(data), len(name), 0) + name + data  # fmt: skip

    inner = local(b"y.npy", npy(np.arange(300) % 3))
    outer = local(b"x.npy", inner)
    body = b""
    for name, offset, data in ((b"x.npy", 0, inner), (b"y.npy", len(outer) - len(inner), inner[35:])):  # fmt: skip
        body += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, zlib.crc32(data), len(data), len(data), len(name), 0, 0, 0, 0, 0, offset) + name  # fmt: skip
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(body), len(outer), 0)
    (tmp_path / "a.npz").write_bytes(outer + body + end)
    problem = refusal(tmp_path / "a.npz")
    assert problem.code == "archive_too_large"
    assert "'y.npy' overlaps" in problem.detail


def test_an_entry_that_runs_into_the_directory(archive, refusal):
    path = archive()
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 20 : at + 28] = struct.pack("<2L", 10_000, 10_000)
    path.write_bytes(data)
    assert refusal(path).code == "archive_too_large"


def test_a_name_that_differs_from_the_directorys(archive, refusal):
    path = archive()
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 46 : at + 51] = b"q.npy"
    path.write_bytes(data)
    assert "another name" in refusal(path).detail


def test_encrypted_entries(archive, refusal):
    path = archive()
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    data[at + 8] |= 1
    path.write_bytes(data)
    problem = refusal(path)
    assert problem.code == "bad_archive"
    assert "encrypted" in problem.detail


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_numpy_does_not_write(method, archive, refusal):
    problem = refusal(archive(compression=method))
    assert problem.code == "bad_archive"
    assert f"method {method}" in problem.detail


def test_the_same_name_twice(archive, refusal):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = archive(lambda file: file.writestr("x.npy", b""))
    assert "twice" in refusal(path).detail


def change(path, compressed, place):
    with zipfile.ZipFile(path) as file:
        info = file.getinfo("x.npy")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 35 + place] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_within_the_data_is_found_by_its_checksum(compression, archive, refusal):
    path = archive(compression=compression)
    change(path, compression, 3000)
    assert refusal(path).code in ("bad_archive", "archive_too_large", "truncated_file")


def test_an_entry_longer_than_it_claims(archive, refusal):
    path = archive(compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    (claimed,) = struct.unpack_from("<L", data, at + 24)
    struct.pack_into("<L", data, at + 24, claimed - 20 * 1)
    path.write_bytes(data)
    # One row less by the directory; the header of the array says what is missing.
    assert refusal(path).code == "truncated_file"


def test_the_directory_and_the_header_agree_on_a_lie(tmp_path, x, y, refusal):
    short = npy(x)
    long = npy(np.concatenate([x, x]))
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", npy(x)[:128] + long[128:])
        file.writestr("y.npy", npy(y))
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<L", data, at + 24, len(short))
    path.write_bytes(data)
    problem = refusal(path)
    assert problem.code == "archive_too_large"
    assert "longer than" in problem.detail


def test_a_zip64_archive_is_read_and_a_false_one_refused(tmp_path, x, y, ingest, refusal):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        for name, array in (("x.npy", x), ("y.npy", y)):
            with file.open(name, "w", force_zip64=True) as entry:
                entry.write(npy(array))
    assert ingest(path)["rows"] == 300
    data = path.read_bytes()
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 2**40, 1)
    path.write_bytes(data[: data.rfind(b"PK\x05\x06")] + locator + end)
    assert refusal(path).code == "bad_archive"


def test_an_archive_with_nothing_in_it(tmp_path, refusal):
    with zipfile.ZipFile(tmp_path / "a.npz", "w"):
        pass
    problem = refusal(tmp_path / "a.npz")
    assert problem.code == "column_missing"
    assert "found none" in problem.detail
