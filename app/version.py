"""The version of the service."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("cultivar-server")
except PackageNotFoundError:  # run from a source tree that nobody installed
    VERSION = "0"
