"""npy and npz embeddings that must be refused, each with the fact its owner needs."""

import io
import resource
import struct

import numpy as np
import pytest

from models.embeddings.limits import Limits


def npy(header, data=b"", version=1):
    text = header.encode("latin-1")
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def described(shape, descr="<f4", order=False):
    return f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.fixture
def pair(tmp_path, y):
    """Give x.npy of some bytes, and an honest y.npy."""

    def write(data):
        (tmp_path / "x.npy").write_bytes(data)
        np.save(tmp_path / "y.npy", y)
        return tmp_path / "x.npy", tmp_path / "y.npy"

    return write


def test_an_empty_file(pair, refusal):
    problem = refusal(*pair(b""))
    assert problem.code == "empty_file"
    assert "'x.npy' is empty (0 bytes)" in problem.detail


def test_73_bytes_that_claim_ten_to_the_twelve(pair, refusal):
    data = npy(described((10**12,)))
    data += b"\0" * (73 - len(data))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problem = refusal(*pair(data))
    assert problem.code == "array_too_large"
    assert "4,000,000,000,000 bytes" in problem.detail
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@pytest.mark.parametrize("shape", [(10**12, 0), (0, 10**12), (2**62, 2**62), (2**63 - 1,)])
def test_no_axis_hides_behind_another(shape, pair, refusal):
    assert refusal(*pair(npy(described(shape)))).code == "array_too_large"


def test_text_of_no_width_claims_no_rows_for_free(npz, tmp_path, refusal, x):
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "y.npy").write_bytes(npy(described((300,), "<U0")))
    problem = refusal(tmp_path / "x.npy", tmp_path / "y.npy")
    assert problem.code == "bad_npy"
    assert "no width" in problem.detail


def test_fewer_bytes_than_the_header_says(pair, refusal):
    problem = refusal(*pair(npy(described((300, 5)), b"\0" * 5999)))
    assert problem.code == "truncated_file"
    assert "6,000 bytes" in problem.detail
    assert "5,999 bytes" in problem.detail


def test_more_bytes_than_the_header_says(pair, refusal):
    assert refusal(*pair(npy(described((300, 5)), b"\0" * 6001))).code == "bad_array"


def test_an_object_array_is_never_opened(tmp_path, refusal, y):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    x = np.array([Trap()] * 300, dtype=object)
    np.save(tmp_path / "x.npy", x, allow_pickle=True)
    np.save(tmp_path / "y.npy", y)
    problem = refusal(tmp_path / "x.npy", tmp_path / "y.npy")
    assert problem.code == "unsafe_pickle"
    assert not (tmp_path / "sprung").exists()
    np.savez(tmp_path / "b.npz", x=x, y=y)
    assert refusal(tmp_path / "b.npz").code == "unsafe_pickle"


def test_a_structure_with_an_object_in_it_is_a_pickle_too(pair, refusal):
    header = "{'descr': [('a', '<f4'), ('b', '|O')], 'fortran_order': False, 'shape': (3,), }"
    assert refusal(*pair(npy(header))).code == "unsafe_pickle"


def test_a_pickle_is_known_by_its_first_bytes(pair, refusal):
    assert refusal(*pair(b"\x80\x04\x95")).code == "unsafe_pickle"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "{}",
        "[" * 200,
        "(" * 3000,
        "__import__('os').system('true')",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, True), }",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 3, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1e400, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 4000 + ",), }",
        "{'descr': '<f3', 'fortran_order': False, 'shape': (3, 3), }",
        "{'descr': '<f99999', 'fortran_order': False, 'shape': (3, 3), }",
        "{'descr': 'complex', 'fortran_order': False, 'shape': (3, 3), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3, 3), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), 'more': 1}",
        "\xff\xfe",
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_headers_that_numpy_never_wrote(header, version, pair, refusal):
    assert refusal(*pair(npy(header, b"\0" * 36, version))).code == "bad_npy"


def test_other_versions_and_long_headers(pair, refusal):
    assert refusal(*pair(npy(described((3, 3)), version=3))).code == "bad_npy"
    assert refusal(*pair(npy(" " * 5000))).code == "bad_npy"


@pytest.mark.parametrize(
    ("head", "what"),
    [(b"PAR1", "Parquet"), (b"PK\x03\x04", "zip"), (b"\x89HDF\r\n", "HDF5"), (b"a,b\n", "text")],
)
def test_a_file_of_another_format_is_called_what_it_is(head, what, pair, refusal):
    problem = refusal(*pair(head + b"0" * 100))
    assert problem.code == "format_mismatch"
    assert what in problem.detail


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "complex64", "U3", "M8[s]"])
def test_embeddings_are_floats(dtype, npz, refusal, y):
    problem = refusal(npz(x=np.zeros((300, 5), dtype), y=y))
    assert problem.code == "embedding_dtype"
    assert "float32" in problem.detail


@pytest.mark.parametrize("shape", [(300,), (300, 5, 1), (300, 0), ()])
def test_embeddings_have_two_dimensions(shape, npz, refusal, y):
    problem = refusal(npz(x=np.zeros(shape, np.float32), y=y))
    assert problem.code in ("embedding_dim_mismatch", "length_mismatch")


def test_a_dim_of_its_own_in_another_part(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=y, x_test=x[:, :4], y_test=y))
    assert problem.code == "embedding_dim_mismatch"
    assert "4 values" in problem.detail
    assert "5" in problem.detail


def test_too_many_values_a_row(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=y), limits=Limits(max_dim=4))
    assert problem.code == "embedding_dim_mismatch"


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "Inf"), (-np.inf, "-Inf")])
@pytest.mark.parametrize("block_bytes", [64, 1 << 20])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_a_value_that_is_not_finite_is_named(value, word, block_bytes, dtype, npz, refusal, x, y):
    x[118, 3] = value
    problem = refusal(npz(x=x.astype(dtype), y=y), limits=Limits(block_bytes=block_bytes))
    assert problem.code == "non_finite_values"
    assert f"has {word} in row 118, value 3" in problem.detail
    assert problem.param == "x"


def test_every_row_that_is_not_finite_is_counted(npz, refusal, x, y):
    x[50:80, 0] = np.nan
    problem = refusal(npz(x=x, y=y), limits=Limits(block_bytes=200))
    assert "rows 50, 51, 52, 53, 54, 55, 56, 57, 58, 59 and 20 more" in problem.detail


def test_rows_are_counted_within_their_own_array(npz, refusal, x, y):
    bad = x.copy()
    bad[118, 0] = np.nan
    problem = refusal(npz(x=x, y=y, x_test=bad, y_test=y))
    assert "'x_test'" in problem.detail
    assert "row 118" in problem.detail


def test_a_double_beyond_float32_is_named(npz, refusal, x, y):
    wide = x.astype(np.float64)
    wide[118, 2] = 1e300
    problem = refusal(npz(x=wide, y=y))
    assert problem.code == "non_finite_values"
    assert "1e+300, beyond float32 in row 118" in problem.detail


def test_no_rows_at_all(npz, refusal):
    assert refusal(npz(x=np.zeros((0, 5), "f4"), y=np.zeros(0, int))).code == "no_rows"


def test_more_rows_than_are_taken(npz, refusal, x, y):
    problem = refusal(npz(x=x, y=y), limits=Limits(max_rows=299))
    assert problem.code == "too_many_rows"
    assert "300" in problem.detail


def test_labels_alone(tmp_path, refusal, y):
    np.save(tmp_path / "y.npy", y)
    problem = refusal(tmp_path / "y.npy")
    assert problem.code == "column_missing"


def test_three_nameless_npy_files_are_not_guessed_about(tmp_path, refusal, x, y):
    paths = [tmp_path / f"{name}.npy" for name in "abc"]
    for path in paths:
        np.save(path, x)
    assert refusal(*paths).code == "column_missing"


@pytest.mark.parametrize("kind", ["pt", "pkl", "bin", "", "NPZ"])
def test_formats_that_are_not_read(kind, tmp_path, refusal):
    (tmp_path / "a.npz").write_bytes(b"x")
    assert refusal(tmp_path / "a.npz", format=kind).code == "unsupported_media_type"


def test_numpy_reads_what_is_written(npz, out, ingest, x, y):
    ingest(npz(x=x, y=y))
    with (out / "x.npy").open("rb") as file:
        assert np.lib.format.read_magic(file) == (1, 0)
        assert np.lib.format.read_array_header_1_0(file) == ((300, 5), False, np.dtype("<f4"))
        assert file.tell() % 64 == 0
    assert np.array_equal(np.load(io.BytesIO((out / "x.npy").read_bytes())), x)
