"""VGG-16 as a measure of how alike two images look (Simonyan & Zisserman 2015; Johnson et al. 2016).

Its weights are trained on ImageNet: where they are used, more has been seen than the labelled images,
and the generator's config says so.
"""

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor, nn

from models.encoders.catalogue import Found, find
from models.encoders.folder import weights
from models.errors import InputProblem
from models.glico.losses import Distance, with_perception

PARAM = "reconstruction.perceptual"
_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
"""Channels of the convolutions; 0 is a max pooling."""

_LEVELS = (2, 7, 12, 21, 28)
"""Places of the convolutions that are compared, among convolutions, rectifiers and poolings: of a large
image all five, of a small one the first three, above whose maps there is hardly a pixel left."""

_SMALL = 64
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images, with which the weights were trained."""


class Vgg(nn.Module):
    """The convolutions of VGG-16 up to the last level that is asked for, frozen."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in _WIDTHS:
            if width:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.levels = levels
        self.features = nn.Sequential(*layers[: max(levels) + 1])
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(requires_grad=False)

    def forward(self, images: Float[Tensor, "n 3 side side"]) -> list[Tensor]:
        """Return the maps of each level, of images in [0, 1]."""
        found = []
        x = (images - self.get_buffer("mean")) / self.get_buffer("std")
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.levels:
                found.append(x)
        return found


def load(model: str, side: int, device: str = "cpu") -> tuple[Distance, Found]:
    """Return the perceptual distance for images of `side` pixels, and the model it stands on.

    Args:
        model: name of a model at hand whose weights are VGG-16's, as timm's and torchvision's are named.
        side: of the images.
        device: a torch device.

    Raises:
        InputProblem: the model is not at hand, or is not VGG-16.
    """
    found = find(model, PARAM)
    network = Vgg(_LEVELS if side > _SMALL else _LEVELS[:3])
    wanted = network.state_dict()
    state: dict[str, Tensor] = {}
    for file in weights(found.path):
        with safe_open(file, framework="pt") as tensors:
            state |= {name: tensors.get_tensor(name) for name in tensors.keys() if name in wanted}  # noqa: SIM118 - no mapping
    unlike = [
        name
        for name, tensor in wanted.items()
        if name not in state or state[name].shape != tensor.shape
    ]
    if unlike:
        there = f"of shape {tuple(state[unlike[0]].shape)}" if unlike[0] in state else "missing"
        raise InputProblem(
            "not_vgg16",
            f"{model!r} is not VGG-16: its weight {unlike[0]} is {there}; expected "
            f"{tuple(wanted[unlike[0]].shape)}.",
            PARAM,
        )
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return with_perception(network.to(device).eval()), found
