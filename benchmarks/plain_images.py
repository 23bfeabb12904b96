"""The rival of `benchmarks.image_training`: plain loops over files that are decoded again and again."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from benchmarks.few_shot import Labels
from models.glico.decoder import Auxiliary, Decoder
from models.glico.losses import laplacian
from models.glico.spec import DecoderSpec, ReconstructionSpec
from models.glico.sphere import project, slerp
from models.glico.training import BETAS
from models.images.classifier import Images
from models.images.networks import make_network
from models.images.spec import ImageClassifierSpec

PADDING = 0.125
DECODER = DecoderSpec(upsampling="transposed")
SHARES = (0.1, 0.2, 0.3, 0.4)

Batch = tuple[Tensor, Tensor, Tensor]
"""Numbers of images, images and classes."""


class Files(Dataset[tuple[int, Tensor, int]]):
    """Training images as PNG files: each is opened and decoded anew whenever it is asked for."""

    def __init__(self, folder: Path, x: Images, y: Labels, *, augmented: bool) -> None:
        """Write the files that are not there yet."""
        self._paths = [folder / f"{number}.png" for number in range(len(x))]
        for path, pixels in zip(self._paths, x, strict=True):
            if not path.exists():
                Image.fromarray(pixels).save(path)
        self._y, self._augmented = y.tolist(), augmented
        self.mean, self.std = (
            torch.tensor(of(x / 255, axis=(0, 1, 2)), dtype=torch.float32)[:, None, None]
            for of in (np.mean, np.std)
        )

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> tuple[int, Tensor, int]:
        with Image.open(self._paths[number]) as file:
            image = file.convert("RGB")
        if self._augmented:
            image = _moved(image)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float() / 255
        return number, self.normal(pixels) if self._augmented else pixels, self._y[number]

    def normal(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std


def _moved(image: Image.Image) -> Image.Image:
    """Return a random crop of the image in a black frame, half of the time mirrored."""
    edge, side = round(PADDING * image.width), image.width
    left, top = torch.randint(2 * edge + 1, (2,)).tolist()
    cropped = ImageOps.expand(image, edge).crop((left, top, left + side, top + side))
    return ImageOps.mirror(cropped) if torch.rand(()) < 0.5 else cropped


@dataclass(frozen=True)
class Load:
    """What is trained, and for how long.

    Attributes:
        x: uint8 `n side side 3`.
        y: classes, `n`.
        folder: for files.
        classifier: its network and batch.
        epochs: of every training.
        device: a torch device.
    """

    x: Images
    y: Labels
    folder: Path
    classifier: ImageClassifierSpec
    epochs: int
    device: str

    @property
    def n_classes(self) -> int:
        return int(self.y.max()) + 1

    @property
    def steps(self) -> int:
        """Ours has batches that are always full; as many as make up the plain loop's epochs."""
        return math.ceil(self.epochs * len(self.x) / self.classifier.batch_size)

    def files(self, *, augmented: bool = True) -> Files:
        return Files(self.folder, self.x, self.y, augmented=augmented)

    def loader(self, workers: int = 0, *, augmented: bool = True) -> DataLoader[Any]:
        """Return batches of files in a new order every epoch; workers live as long as it does."""
        return DataLoader(
            self.files(augmented=augmented),
            batch_size=self.classifier.batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    def epoch(self, loader: DataLoader[Any]) -> Iterator[Batch]:
        """Yield an epoch's batches, images and classes on the device."""
        for numbers, images, labels in loader:
            yield numbers, images.to(self.device), labels.to(self.device)

    def decoder(self) -> Decoder:
        """Return a generator of random weights."""
        return Decoder(DECODER, self.x.shape[1], self.n_classes).to(self.device)


class Synthetic:
    """Batches from a generator of random weights, which is as fast as any, made as published."""

    def __init__(self, load: Load) -> None:
        self._load, self._files, self._decoder = load, load.files(), load.decoder()
        self._codes = project(torch.randn(len(load.x), DECODER.code_dim))
        self._members = [np.flatnonzero(load.y == label) for label in range(load.n_classes)]
        self._rng = np.random.default_rng(0)

    def __call__(self, numbers: Tensor) -> Tensor:
        """Return normalised images: one share for all, each with a partner of its class."""
        classes = self._load.y[numbers.numpy()]
        partners = [self._rng.choice(self._members[label]) for label in classes]
        share = torch.tensor(self._rng.choice(SHARES)).float()
        codes = slerp(self._codes[numbers], self._codes[partners], share.expand(len(numbers)))
        labels = torch.from_numpy(classes).to(self._load.device)
        made = self._decoder(codes.to(self._load.device), labels).detach().cpu()
        normal = torch.stack([self._files.normal(image) for image in made])
        return normal.to(self._load.device)


def plain(load: Load, loader: DataLoader[Any], synthetic: Synthetic | None) -> int:
    """Train a classifier of the same network; return how many images it went through.

    Args:
        load: what is trained.
        loader: of augmented images.
        synthetic: makes the images of half of the batches, by a coin each; None: all are real.
    """
    network = make_network(load.classifier, load.n_classes, load.x.shape[1]).to(load.device)
    optimizer = torch.optim.SGD(
        network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    seen, loss = 0, torch.zeros(())
    for _ in range(load.epochs):
        for numbers, read, labels in load.epoch(loader):
            images = read if synthetic is None or torch.rand(()) < 0.5 else synthetic(numbers)
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            seen += len(images)
    assert math.isfinite(loss.item())  # and the device has done all
    return seen


def plain_glico(load: Load, loader: DataLoader[Any], *, once: bool) -> int:
    """Train codes and a generator as the published code does; return how many images it went through.

    Args:
        load: what is trained.
        loader: of images that are not augmented.
        once: whether both losses share one pass of the generator; published: one for each.
    """
    settings, decoder = ReconstructionSpec(), load.decoder()
    auxiliary = Auxiliary(load.n_classes).to(load.device)
    codes = nn.Embedding(len(load.x), DECODER.code_dim).to(load.device)
    networks = [*decoder.parameters(), *auxiliary.parameters()]
    seen = 0
    for _ in range(load.epochs):
        optimizers = (
            torch.optim.Adam(networks, lr=settings.generator_rate, betas=BETAS),
            torch.optim.Adam(codes.parameters(), lr=settings.code_rate, betas=BETAS),
        )
        for numbers, images, labels in load.epoch(loader):
            rows = numbers.to(load.device)
            made = decoder(codes(rows), labels)
            judged = made if once else decoder(codes(rows), labels)
            wrong = functional.cross_entropy(auxiliary(judged), labels)
            loss = laplacian(made, images) + settings.classifier_weight * wrong
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
            with torch.no_grad():
                codes.weight.copy_(project(codes.weight))
            assert math.isfinite(loss.item())
            seen += len(images)
    return seen
