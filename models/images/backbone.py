"""A transformers image model with a new linear head, fine-tuned as a whole.

How a family's models are loaded, fed and pooled is what `models.encoders` says of them.
"""

import json
from typing import Any, NamedTuple, Self

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional

from models.encoders.catalogue import Found, find
from models.encoders.family import Resolved
from models.encoders.loading import Loaded, load, tower_for
from models.encoders.pooling import pooled_output, resolve, unavailable
from models.encoders.prepare import Preparation, preparation_for
from models.encoders.spec import EncoderSpec
from models.images.networks import ImageNetwork

_TRIAL_SIDE = 64
"""Of the plain images that tell what a model is fed, in pixels."""

_FOREIGN = ("id2label", "label2id", "transformers_version", "_name_or_path")
"""Of a model's config, what says nothing of its shape, or names the classes of its first training."""


class Fed(NamedTuple):
    """What a model's own preparation makes of an image.

    Attributes:
        height: in pixels.
        width: in pixels.
        mean: (3,) subtracted from the channels, which are in [0, 1].
        std: (3,) they are then divided by.
    """

    height: int
    width: int
    mean: Tensor
    std: Tensor


class Backbone(ImageNetwork):
    """A model of transformers, pooled to one vector an image, and a linear layer on it.

    Images come at any side and are resized on their device to what the model reads.
    """

    def __init__(self, model: nn.Module, n_classes: int, config: dict[str, Any]) -> None:
        super().__init__()
        self.model = model.requires_grad_(requires_grad=True)
        self.config = config
        self.dim = config["dim"]
        self._size: tuple[int, int] = tuple(config["size"])
        self._pooling: Resolved = config["pooling"]
        self.linear = nn.Linear(self.dim, n_classes)
        nn.init.zeros_(self.linear.bias)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation; BatchNorm keeps the statistics that it came with.

        Those of a few small batches are worse, and the momentum of MobileNetV2 in transformers keeps
        the last batch alone.
        """
        super().train(mode)
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def features(self, x: Tensor) -> Tensor:
        """Return float (n, dim) vectors of normalised images, pooled as the family is."""
        if x.shape[2:] != self._size:
            shrinks = x.shape[2] > self._size[0]
            x = functional.interpolate(
                x, self._size, mode="bilinear", align_corners=False, antialias=shrinks
            )
        pooled = pooled_output(self.model(pixel_values=x), None, self._pooling)
        if pooled is None:
            raise RuntimeError(f"{type(self.model).__name__} gave other axes than in its trial")
        return pooled


def load_backbone(name: str, n_classes: int, param: str) -> tuple[Backbone, Tensor, Tensor]:
    """Return the model called ``name`` under a new head, and (3,) mean and spread of its channels.

    The head's weights come from the global generator.

    Raises:
        InputProblem: ``model_not_at_hand``, ``model_not_allowed``, ``encoder_modality_mismatch``,
            ``model_incomplete`` or ``encoder_pooling_unavailable``, with ``param``.
    """
    found = find(name, param)
    loaded = load(found, tower_for(found, "image", param), param)
    spec = EncoderSpec(model=name)
    fed = _fed(preparation_for(found, loaded.tower, loaded.model, spec, param))
    pooling, dim = _pooling(loaded, fed, spec, param)
    config = _config(found, loaded.model) | {
        "size": [fed.height, fed.width],
        "pooling": pooling,
        "dim": dim,
    }
    return Backbone(loaded.model, n_classes, config), fed.mean, fed.std


def rebuild(config: dict[str, Any], n_classes: int) -> Backbone:
    """Return an untrained network of a `Backbone.config`, without the folder it once came from.

    Raises:
        ValueError: the config names no model of transformers.
    """
    made: Any = getattr(transformers, config["class"], None)
    is_model = isinstance(made, type) and issubclass(made, transformers.PreTrainedModel)
    if not is_model:
        raise ValueError(f"{config['class']!r} is no model of transformers")
    return Backbone(made(made.config_class.from_dict(config["model"])), n_classes, config)


def _config(found: Found, model: nn.Module) -> dict[str, Any]:
    """Return what a model is and comes from, as JSON."""
    own: Any = model.config
    shape = json.loads(own.to_json_string(use_diff=False))
    return {
        "id": found.id,
        "revision": found.revision,
        "licence": found.licence,
        "class": type(model).__name__,
        "model": {name: value for name, value in shape.items() if name not in _FOREIGN},
    }


def _fed(preparation: Preparation) -> Fed:
    """Return what a model is fed, by what becomes of a black image and of a white one."""

    def prepared(value: int) -> Tensor:
        plain = np.full((_TRIAL_SIDE, _TRIAL_SIDE, 3), value, dtype=np.uint8)
        return torch.from_numpy(preparation.item(b"", lambda _data: plain)["pixel_values"])

    black, white = prepared(0), prepared(255)
    _, height, width = black.shape
    middle = (slice(None), height // 2, width // 2)
    std = 1 / (white[middle] - black[middle])
    return Fed(height, width, -black[middle] * std, std)


@torch.inference_mode()
def _pooling(loaded: Loaded, fed: Fed, spec: EncoderSpec, param: str) -> tuple[Resolved, int]:
    """Return the family's pooling, or the mean where a model lacks its pooler, and the width."""
    wanted = resolve(spec, loaded.tower, None)
    output = loaded.model(pixel_values=torch.zeros(1, 3, fed.height, fed.width))
    if wanted == "pooler" and not loaded.has_pooler:
        wanted = "mean"
    for pooling in (wanted, "mean"):
        pooled = pooled_output(output, None, pooling)
        if pooled is not None:
            return pooling, pooled.shape[1]
    raise unavailable(wanted, f"it is a {type(loaded.model).__name__}", param)
