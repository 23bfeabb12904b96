import pytest
import torch
from torch import Tensor

from models.glico.decoder import NOISE_DIM, Auxiliary, Decoder
from models.glico.losses import laplacian, with_perception
from models.glico.spec import DecoderSpec


def decoder(side: int = 16, **settings: object) -> Decoder:
    torch.manual_seed(0)
    return Decoder(DecoderSpec(code_dim=8, width=8, **settings), side, 3).eval()


Z = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
LABELS = torch.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("side", [16, 32, 64, 96, 128, 256])
def test_images_have_the_side_asked_for_and_lie_between_black_and_white(
    side: int, upsampling: str
) -> None:
    made = decoder(side, upsampling=upsampling)(Z[:2], LABELS[:2])
    assert made.shape == (2, 3, side, side)
    assert 0 <= made.min() < made.max() <= 1


def test_an_image_does_not_depend_on_those_beside_it_even_in_training() -> None:
    network = decoder().train()
    alone = torch.cat([network(Z[i : i + 1], LABELS[i : i + 1]) for i in range(4)])
    assert torch.allclose(network(Z, LABELS), alone, atol=1e-5)


def test_noise_makes_many_images_of_one_code() -> None:
    network = decoder(noise=True)
    noise = torch.randn(4, NOISE_DIM, generator=torch.Generator().manual_seed(2))
    same = Z[:1].expand(4, -1)
    made = network(same, LABELS[:1].expand(4), noise)
    assert (made[0] - made[1]).abs().max() > 1e-4
    assert torch.equal(network(Z, LABELS), network(Z, LABELS, torch.zeros(4, NOISE_DIM)))


def test_only_a_conditioned_decoder_looks_at_the_class() -> None:
    other = (LABELS + 1) % 3
    assert torch.equal(decoder()(Z, LABELS), decoder()(Z, other))
    network = decoder(conditioned=True)
    assert (network(Z, LABELS) - network(Z, other)).abs().max() > 1e-4


def test_the_auxiliary_classifier_gives_logits() -> None:
    torch.manual_seed(0)
    logits = Auxiliary(3)(decoder()(Z, LABELS))
    assert logits.shape == (4, 3)
    assert not torch.allclose(logits.exp().sum(dim=1), torch.ones(4))


def images(seed: int, side: int = 16) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_the_pyramid_tells_a_shift_of_brightness_once() -> None:
    a = images(0) / 2
    assert laplacian(a, a).item() == 0
    # A constant is in no level but the coarsest.
    assert laplacian(a + 0.25, a).item() == pytest.approx(0.25, abs=1e-6)


def test_the_pyramid_weighs_coarse_structure_more_than_pixels_do() -> None:
    fine, coarse = torch.full((2, 1, 3, 16, 16), 0.25)
    fine[..., ::2, ::2] *= -1
    fine[..., 1::2, 1::2] *= -1
    coarse[..., :8, :] *= -1
    nothing = torch.zeros_like(fine)
    assert laplacian(coarse, nothing) > 1.3 * laplacian(fine, nothing)


@pytest.mark.parametrize(("side", "looks"), [(16, 1), (96, 2)])
def test_a_perceptual_loss_adds_its_levels_and_above_64_pixels_a_pooled_copy(
    side: int, looks: int
) -> None:
    a, b = images(0, side), images(1, side)
    calls: list[Tensor] = []

    def features(x: Tensor) -> list[Tensor]:
        calls.append(x)
        return [x * 2]

    found = with_perception(features)(a, b)
    assert len(calls) == 2 * looks
    assert found > (a - b).abs().mean() * 2.9
