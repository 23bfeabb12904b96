"""Write `docs/settings.md` from `app.settings.Settings`.

python scripts/write_settings_page.py            # write it
python scripts/write_settings_page.py --check    # exit 1 if it is stale
"""

import argparse
import sys
from pathlib import Path

from app.settings import Settings

TARGET = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

HEAD = """\
# Settings

Every setting is an environment variable, read once when a process starts. API, workers and the
embedded service read the same ones. Written by `scripts/write_settings_page.py` from
`app/settings.py`; edit there.

| variable | default | meaning |
| --- | --- | --- |
"""

TAIL = """
Access to an S3, GCS or Azure store is configured by the store's own variables, such as
`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL` and, for a store without
TLS, `AWS_ALLOW_HTTP=true`.

The client reads two of its own: `CULTIVAR_URL` and `CULTIVAR_API_KEY`. Without them it looks for the
embedded service on the loopback, and for its key under `CULTIVAR_HOME`.
"""


def page() -> str:
    """Return the page's text, the same on every machine."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else str(field.default)
        # The home folder's default is expanded when the module is loaded.
        default = default.replace(str(Path.home()), "~", 1)
        shown = f"`{default}`" if default else "none"
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        rows.append(f"| `CULTIVAR_{name.upper()}` | {shown} | {meaning} |\n")
    return HEAD + "".join(rows) + TAIL


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it is stale")
    if not parser.parse_args(argv).check:
        TARGET.write_text(page())
    elif not TARGET.exists() or TARGET.read_text() != page():
        print(f"{TARGET} is stale; run scripts/write_settings_page.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
