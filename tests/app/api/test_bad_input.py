"""What of the table of bad input concerns no single route."""

import subprocess
import sys

DECODERS = {"PIL", "numpy", "pyarrow", "safetensors", "soundfile", "soxr", "torch", "transformers"}


def test_the_api_loads_nothing_that_could_decode_an_upload() -> None:
    code = f"import sys, app.__main__; print(sorted({DECODERS} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
