"""How many images are edited at once where nobody says."""

import torch

MOST = 64
"""Above it no device that was tried gains."""

BYTES_A_PIXEL = 6 << 10
"""Of an edit in bfloat16 with guidance, decoding included; generous, since a batch that does not fit is lost."""

PIXELS_ON_CPU = 1 << 18
"""An image of 512 pixels, or 64 small ones: more at once gains nothing, and caches are left."""


def automatic(side: int, device: str, free: int | None = None) -> int:
    """Return how many images of this side are edited at once, a power of two.

    Args:
        side: shorter side in pixels.
        device: a torch device.
        free: bytes of its memory; by default those that are free now. Half of them are used.
    """
    if torch.device(device).type == "cuda":
        there = torch.cuda.mem_get_info(device)[0] if free is None else free
        fitting = there // 2 // (BYTES_A_PIXEL * side**2)
    else:
        fitting = PIXELS_ON_CPU // side**2
    most = max(1, min(MOST, fitting))
    return 1 << (most.bit_length() - 1)
