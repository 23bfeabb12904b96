"""Vectors of several sources on one scarce tail, and generators that are told the subdomain or not."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import conditioning
from benchmarks.conditioned_cells import WORDS, told_without
from benchmarks.longtail_data import LongTail
from benchmarks.subdomain_data import SubdomainData
from tests.benchmarks.conftest import NAMES


@pytest.fixture
def files(tmp_path: Path, long_tail) -> dict[str, Path]:
    rng, centres = np.random.default_rng(1), long_tail((120, 40, 8, 5), 10)
    np.savez(tmp_path / "vectors.npz", classes=NAMES, a=centres, b=np.abs(centres))
    y, part = np.repeat(np.arange(4), 24), np.tile(np.arange(2), 48)
    x = centres[y] + 3 * part[:, None] + 1.5 * rng.standard_normal((96, 6))
    domain = np.array(["day", "night"])[part]
    np.savez(tmp_path / "cells.npz", x=x, y=y, classes=NAMES, domain=domain)
    return {name: tmp_path / f"{name}.npz" for name in ("tail", "vectors", "cells")}


@pytest.fixture(autouse=True)
def names_have_vectors(monkeypatch):
    """In place of the packaged encoder, which takes seconds to load."""

    def lengths(names):
        return np.array([[len(name), 1.0, ord(name[0])] for name in names])

    monkeypatch.setattr(conditioning, "encode_names", lengths)


def test_sources_differ_in_meaning_and_in_nothing_else(files):
    data = LongTail.read(files["tail"])
    given = [f"{files['vectors']}:{name}" for name in "ab"]
    sources = conditioning.sources_of(given, data, seed=0)
    together, shuffled = sources["all"], sources["shuffled"]
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert not np.array_equal(together, shuffled)
    assert sorted(together.tolist()) == sorted(shuffled.tolist())
    assert sources["learned"] is None
    assert set(conditioning.sources_of(given[:1], data, seed=0)) == set(sources) - {"a", "b"}


def test_every_row_is_tested_on_in_each_left_out_cell_of_its_subdomain(files):
    data = SubdomainData.read([files["cells"]])
    y, said, group, own = told_without(data, 1, 5, 2, lambda _done, _total: None)
    # Two cells are left out, of the first class: all rows of their subdomains are tested on.
    assert len(y) == len(group) == len(data.y)
    assert np.bincount(y).tolist() == [12] * 8
    assert own.tolist() == [0, 4]
    assert set(said) == set(WORDS)
    for found in said.values():
        assert found.shape == (1, len(y))
        assert (found[0] // 4 == y // 4).all()
    # A cell of which nothing is seen is taken for others.
    left_out = np.isin(y, own)
    assert (said["real"] == y)[:, ~left_out].mean() > (said["real"] == y)[:, left_out].mean()


def test_the_command_tells_both_heads_and_the_cells(files, run, small_networks):
    small_networks(conditioning)
    vectors = [f"{files['vectors']}:a", f"{files['vectors']}:b"]
    arguments = ["--data", files["tail"], "--vectors", *vectors]
    arguments += ["--cells", files["cells"], "--seeds", "1", "--quick"]
    told = run("conditioning", *arguments)["rows"]
    arms = {"all", "a", "b", "text", "shuffled", "one_hot", "learned", "real"}
    assert set(told["scarce"]["linear"]) == set(told["scarce"]["kernel"]) == arms
    assert set(told["cells"]) == set(WORDS)
    # Without vectors of meaning a kernel head is a linear one.
    heads = (told["scarce"][head]["learned"]["all"] for head in ("linear", "kernel"))
    assert len(set(heads)) == 1
