"""`python -m cultivar` is `cultivar`."""

import sys

from cultivar._cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
