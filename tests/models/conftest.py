"""Shapes are types: in tests, annotated functions check the arrays that they are given."""

import importlib

from jaxtyping import install_import_hook

CHECKED = [
    f"models.gelda.{name}"
    for name in (
        "centres",
        "conditioning",
        "denoiser",
        "estimates",
        "flow",
        "latents",
        "moments",
        "objective",
        "rows",
        "samplers",
        "vectors",
    )
] + [f"models.images.{name}" for name in ("augment", "networks")]

# Before any test imports them: a module that is loaded already stays unchecked.
with install_import_hook(CHECKED, "beartype.beartype"):
    for module in CHECKED:
        importlib.import_module(module)
