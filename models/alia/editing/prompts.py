"""The prompt belongs to the editor: some want a whole caption, others an instruction."""

import re
from dataclasses import dataclass

from models.alia import descriptions
from models.alia.spec import EditorName
from models.errors import InputProblem

TEMPLATES: dict[EditorName, str] = {
    "img2img": "{description}",
    "txt2img": "{description}",
    "lcm": "{description}",
    "instruct_pix2pix": "put it {setting}",
    "flux2_klein": "Change this into {description}. Keep the {class} as it is.",
}
"""What each editor is told."""

PLACES = ("description", "class", "setting")


@dataclass(frozen=True)
class Prompts:
    """Writes the prompt of an edit.

    Attributes:
        template: text with `{description}`, `{class}` or `{setting}`.
        prefix: how descriptions begin, with `{}` where the class goes.
    """

    template: str
    prefix: str

    def __call__(self, description: str, class_name: str) -> str:
        """Return the prompt for an image of this class, to be put into this domain."""
        texts = {
            "description": descriptions.fill(description, class_name),
            "class": descriptions.words(class_name),
            "setting": descriptions.setting_of(description, self.prefix),
        }
        # Not `str.format`: a class may be named with braces, and those would be places of their own.
        return re.sub(r"\{(\w+)\}", lambda found: texts[found[1]], self.template)


def prompts(editor: EditorName, template: str | None, prefix: str, param: str) -> Prompts:
    """Return what writes an editor's prompts.

    Args:
        editor: whose template it is where none is given.
        template: the caller's own, or None.
        prefix: how descriptions begin.
        param: the template's field.

    Raises:
        InputProblem: the template has a place that is not known, or none that a domain would fill.
    """
    text = template or TEMPLATES[editor]
    found = re.findall(r"\{([^{}]*)\}", text)
    unknown = [place for place in found if place not in PLACES]
    if unknown or not {"description", "setting"} & set(found):
        raise InputProblem(
            "bad_template",
            f"The template {text!r} has "
            + (f"`{{{unknown[0]}}}`" if unknown else "no place for the domain")
            + "; `{description}` or `{setting}` is needed, and `{class}` may be there.",
            param,
        )
    return Prompts(text, prefix)
