"""Where the service is and which key opens it."""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cultivar._constants import DEFAULT_HOME, DEFAULT_URL
from cultivar._exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Connection:
    """An address and the key for it; the key stays out of `repr`."""

    base_url: str
    api_key: str = field(repr=False)

    @property
    def loopback(self) -> bool:
        return is_loopback(self.base_url)


def home_folder(home: str | os.PathLike[str] | None = None) -> Path:
    """Return `home`, else `CULTIVAR_HOME`, else ``~/.cultivar``."""
    return Path(home or os.environ.get("CULTIVAR_HOME") or DEFAULT_HOME).expanduser()


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine by its own name: never by a look-up."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def resolve(
    base_url: str | None = None,
    api_key: str | None = None,
    home: str | os.PathLike[str] | None = None,
) -> Connection:
    """Return what to connect to: arguments, then environment, then the embedded stack's key file.

    The key file is read for loopback addresses alone, so that a local key never leaves the machine.

    Raises:
        ConfigurationError: the address is not one, or there is no key for it.
    """
    url = (base_url or os.environ.get("CULTIVAR_URL") or DEFAULT_URL).rstrip("/")
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise ConfigurationError(f"{url!r} is no address; it should look like {DEFAULT_URL}")
    key = api_key or os.environ.get("CULTIVAR_API_KEY") or ""
    if not key and is_loopback(url):
        key = _key_file(home_folder(home) / "key")
    if not key:
        raise ConfigurationError(
            f"There is no key for {url}. Pass api_key=, set CULTIVAR_API_KEY, or start a service "
            f"of your own with `cultivar serve`, which keeps one in {home_folder(home) / 'key'}."
        )
    return Connection(url, key.strip())


def _key_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigurationError(f"The key file cannot be read: {error}") from error
