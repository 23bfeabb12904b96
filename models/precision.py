"""In which precision networks compute while they train."""

from typing import Any, Literal

import torch

from models.spec import Precision

Resolved = Literal["float32", "bfloat16"]


def resolve(precision: Precision, device: str) -> Resolved:
    """Return bfloat16 for `auto` where this machine multiplies it in hardware, else float32.

    That is CUDA, and processors with AMX, on which convolutions are about twice as fast. Weights,
    losses and optimisers stay in float32 (mixed precision).
    """
    if precision != "auto":
        return precision
    if torch.device(device).type == "cuda":
        return "bfloat16"
    # Older torch does not tell what the processor can do.
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if known.get("amx_bf16") else "float32"


def autocast(device: torch.device, precision: Resolved) -> torch.autocast:
    """Return the context in which a network's forward pass is computed."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
