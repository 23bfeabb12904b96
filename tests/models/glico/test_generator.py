from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import InputProblem, Interrupted
from models.glico.generator import Drawn, Generator, cross_fade
from models.glico.spec import InterpolationSpec

PUBLISHED = InterpolationSpec(low=0.1, high=0.4, residuals=False)
CELLS = np.array([0] * 9 + [1] * 7)
COUNTERS = np.concatenate([np.arange(9), np.arange(7)])


def draw(generator: Generator, part: slice = slice(None), **settings: Any) -> Drawn:
    interpolation = settings.pop("interpolation", InterpolationSpec())
    settings = {"seed": 5, "batch_size": 4} | settings
    return generator.sample(CELLS[part], COUNTERS[part], interpolation=interpolation, **settings)


def test_images_are_of_their_class_and_their_parents_too(
    generator: Generator, trained: Any
) -> None:
    drawn = draw(generator)
    assert drawn.images.shape == (16, 16, 16, 3)
    assert (trained.y[drawn.parents] == CELLS[:, None]).all()
    np.testing.assert_allclose(drawn.weights.sum(axis=1), 1, atol=1e-6)
    assert (drawn.parents[:, 0] != drawn.parents[:, 1]).all()


def test_the_same_seed_gives_the_same_images_however_the_work_is_cut(generator: Generator) -> None:
    whole = draw(generator)
    for cuts in ([4, 8], [8], [4, 8, 12]):
        edges = [0, *cuts, 16]
        parts = [draw(generator, slice(a, b)) for a, b in pairwise(edges)]
        for name in ("images", "parents", "weights"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, name))
    assert not np.array_equal(draw(generator, seed=6).images, whole.images)


def test_another_batch_gives_the_same_images_up_to_rounding(generator: Generator) -> None:
    whole, ones = draw(generator), draw(generator, batch_size=1)
    np.testing.assert_array_equal(whole.parents, ones.parents)
    assert np.abs(whole.images.astype(int) - ones.images).max() <= 1


def test_every_item_has_its_own_share(generator: Generator) -> None:
    assert len(np.unique(draw(generator).weights[:, 1])) == 16


def test_with_residuals_an_image_near_its_parent_is_its_parent(
    generator: Generator, trained: Any
) -> None:
    near = InterpolationSpec(low=0, high=0)
    drawn = draw(generator, interpolation=near)
    difference = np.abs(drawn.images.astype(int) - trained.x[drawn.parents[:, 0]])
    assert difference.max() <= 1  # residuals are kept in half precision
    lost = draw(generator, interpolation=near.model_copy(update={"residuals": False}))
    assert np.abs(lost.images.astype(int) - trained.x[lost.parents[:, 0]]).mean() > 2


@pytest.mark.parametrize("path", ["slerp", "lerp", "none"])
@pytest.mark.parametrize("parents", [2, 3])
def test_every_path_makes_images(generator: Generator, path: str, parents: int) -> None:
    spec = PUBLISHED.model_copy(update={"path": path, "parents": parents})
    drawn = draw(generator, interpolation=spec)
    assert drawn.images.std() > 0
    assert drawn.parents.shape == (16, parents)


def test_without_a_path_an_image_is_the_reconstruction_of_its_base(generator: Generator) -> None:
    drawn = draw(generator, interpolation=PUBLISHED.model_copy(update={"path": "none"}))
    wanted = generator.reconstruct(torch.from_numpy(drawn.parents[:, 0])).detach()
    made = torch.from_numpy(drawn.images).permute(0, 3, 1, 2) / 255
    assert (made - wanted).abs().max() < 0.01
    assert (drawn.weights == [1, 0]).all()


def test_a_class_of_one_image_is_named_and_nothing_is_made_of_it(generator: Generator) -> None:
    assert generator.lonely == ["alone"]
    for cell, found in (
        (2, "'alone' has 1 training image;"),
        (3, "'absent' has 0 training images;"),
    ):
        with pytest.raises(InputProblem, match=found) as caught:
            generator.sample(np.array([0, cell]), np.zeros(2, int), seed=0, interpolation=PUBLISHED)
        assert caught.value.code == "class_without_pair"


def test_nothing_is_made_of_an_empty_plan(generator: Generator) -> None:
    assert draw(generator, slice(0, 0)).images.shape == (0, 16, 16, 3)


def test_a_saved_generator_draws_the_same(generator: Generator, tmp_path: Path) -> None:
    generator.save(tmp_path)
    again = Generator.load(tmp_path)
    np.testing.assert_array_equal(draw(again).images, draw(generator).images)
    assert again.config == generator.config


def test_another_format_is_not_loaded(generator: Generator, tmp_path: Path) -> None:
    generator.save(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"glico"', '"gelda"'))
    with pytest.raises(ValueError, match="no GLICO generator"):
        Generator.load(tmp_path)


def test_sampling_stops_between_batches(generator: Generator) -> None:
    looks = iter(range(10))
    with pytest.raises(Interrupted, match="8 of 16"):
        draw(generator, should_stop=lambda: next(looks) == 2)


def test_a_source_and_the_cross_fade_take_the_same_pairs_and_shares(
    generator: Generator, trained: Any
) -> None:
    rows = torch.tensor([0, 3, 7, 9, 10])
    spec = InterpolationSpec(low=0, high=1)
    fade = cross_fade(trained.x, trained.y, 4, spec)
    faded, made = (
        source(rows, torch.Generator().manual_seed(1)) for source in (fade, generator.source(spec))
    )
    assert faded.shape == made.shape == (5, 3, 16, 16)
    # Parent and share decide both: what is made is nearer to its own fade than to any other.
    apart = torch.cdist(made.flatten(1), faded.flatten(1))
    assert torch.equal(apart.argmin(dim=1), torch.arange(5))
    alone = torch.from_numpy(trained.x[10]).permute(2, 0, 1) / 255
    assert torch.allclose(faded[4], alone, atol=1e-6)


def test_a_source_depends_on_the_random_numbers_it_is_given_alone(generator: Generator) -> None:
    rows, source = torch.arange(6), generator.source(PUBLISHED)
    first, again, other = (source(rows, torch.Generator().manual_seed(n)) for n in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_noise_makes_many_images_of_one_pair(trained: Any) -> None:
    generator = trained(trained.spec({"noise": True}, steps=5))
    spec = InterpolationSpec(path="none", residuals=False)
    same = generator.sample(np.zeros(12, int), np.arange(12), seed=0, interpolation=spec)
    assert (same.parents[0] == same.parents[6]).all()
    assert not np.array_equal(same.images[0], same.images[6])
