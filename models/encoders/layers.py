"""Where in a tower the states are taken: found once by a trial, then read by a hook."""

import difflib
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.utils import ModelOutput

from models.errors import InputProblem

Inputs = dict[str, Tensor]


class Place(NamedTuple):
    """A layer of a tower.

    Attributes:
        layer: as the fingerprint tells it: a number from 0, or a module's full name.
        module: the module whose output it is; None: transformers alone can tell.
    """

    layer: int | str
    module: str | None


class _Reached(Exception):
    """Ends a forward pass at the layer that is wanted: what lies above is not computed."""


def find_place(model: nn.Module, inputs: Inputs, layer: int | str, param: str) -> Place:
    """Return where ``layer`` is, after one forward pass of ``inputs``.

    Raises:
        InputProblem: ``unknown_encoder_layer``, with what there is.
    """
    if isinstance(layer, str):
        name = _full_name(model, layer, param)
        return Place(name, name)
    states, outputs = _states_and_outputs(model, inputs)
    if not -len(states) <= layer < len(states):
        raise InputProblem(
            "unknown_encoder_layer",
            f"The layer is {layer}; this model has 0 to {len(states) - 1} (-1 is the last), or a "
            f"module by its name, such as {_some_names(model)}.",
            param,
        )
    number = layer % len(states)
    # A module that is used twice has two outputs, and a hook would take the first.
    same = [
        name for name, given in outputs.items() if len(given) == 1 and given[0] is states[number]
    ]
    return Place(number, same[-1] if same else None)


def states_at(model: nn.Module, inputs: Inputs, place: Place) -> Tensor | None:
    """Return what the layer at ``place`` gives for ``inputs``; None where that is no tensor."""
    if place.module is None:
        return _hidden_states(model, inputs)[int(place.layer)]
    reached: list[Tensor | None] = []

    def hook(_module: nn.Module, _given: Any, output: Any) -> None:
        reached.append(_tensor(output))
        raise _Reached

    handle = model.get_submodule(place.module).register_forward_hook(hook)
    try:
        model(**inputs)
    except _Reached:
        return reached[0]
    finally:
        handle.remove()
    return None


def _states_and_outputs(
    model: nn.Module, inputs: Inputs
) -> tuple[tuple[Tensor, ...], dict[str, list[Tensor]]]:
    """Return the hidden states of one pass, and what every module gave in it, each time."""
    outputs: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _given: Any, output: Any) -> None:
            if (tensor := _tensor(output)) is not None:
                outputs.setdefault(name, []).append(tensor)

        return hook

    handles = [m.register_forward_hook(keep(name)) for name, m in model.named_modules() if name]
    try:
        return _hidden_states(model, inputs), outputs
    finally:
        for handle in handles:
            handle.remove()


def _hidden_states(model: nn.Module, inputs: Inputs) -> tuple[Tensor, ...]:
    states: tuple[Tensor, ...] = model(**inputs, output_hidden_states=True).hidden_states
    return states


def _full_name(model: nn.Module, name: str, param: str) -> str:
    """Return the one module called ``name``, or whose name ends so: a tower may be wrapped."""
    names: list[str] = [full for full, _ in model.named_modules() if full]
    if name in names:
        return name
    ends = [full for full in names if full.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    near = ends[:4] or difflib.get_close_matches(name, names, 4, 0.4) or names[:4]
    raise InputProblem(
        "unknown_encoder_layer",
        f"The layer {name!r} names {f'{len(ends)} modules' if ends else 'no module'} of this model"
        f" ({', '.join(near)} …).",
        param,
    )


def _some_names(model: nn.Module) -> str:
    """Return the first blocks' names: what a reader would look for."""
    blocks = [
        f"{name}.{number}"
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        for number in range(len(module))
    ]
    return ", ".join(repr(name) for name in blocks[:3])


def _tensor(output: Any) -> Tensor | None:
    """Return a module's output; of several, and of named ones, the first."""
    while isinstance(output, tuple | list | ModelOutput) and len(output):
        output = output[0]
    return output if isinstance(output, torch.Tensor) else None
