"""How a network computes within a pipeline: its own precision inside, float32 outside."""

from typing import Any

import torch
from torch import nn


def own_precision(network: nn.Module) -> None:
    """Let a network take float32 and give float32, whatever the type of its weights.

    Samplers then keep latents and noise in float32: steps of bfloat16 would be rounded to 8 bits each,
    and an edit's noise would depend on the precision.
    """
    kind = next(network.parameters()).dtype
    if kind == torch.float32:
        return

    def narrow(
        _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (
            tuple(_cast(value, kind) for value in given),
            {name: _cast(value, kind) for name, value in named.items()},
        )

    def widen(_: nn.Module, __: object, output: Any) -> Any:
        return tuple(_cast(value, torch.float32) for value in output)

    network.register_forward_pre_hook(narrow, with_kwargs=True)
    network.register_forward_hook(widen)


def _cast(value: Any, kind: torch.dtype) -> Any:
    # Times have one dimension or none; networks embed them in float32 themselves.
    if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() > 1:
        return value.to(kind)
    return value
