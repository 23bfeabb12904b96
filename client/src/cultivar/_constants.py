"""Every retry, time-out and size of the client, in one place. Times are in seconds."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

DEFAULT_URL: Final = "http://127.0.0.1:8321"
DEFAULT_HOME: Final = "~/.cultivar"

try:
    __version__ = version("cultivar")
except PackageNotFoundError:  # run from a source tree that nobody installed
    __version__ = "0"

# One HTTP exchange. Short: nothing of this client waits for a job inside a request.
CONNECT_TIMEOUT: Final = 5.0
READ_TIMEOUT: Final = 30.0
WRITE_TIMEOUT: Final = 30.0
POOL_TIMEOUT: Final = 30.0
# But completing an upload answers when its parts are joined and checked: bytes a second, at worst.
SLOWEST_JOIN: Final = 20_000_000

# Retries of one exchange: exponential with jitter, unless the service says `Retry-After`.
MAX_RETRIES: Final = 4
FIRST_RETRY: Final = 0.5
RETRY_FACTOR: Final = 2.0
LONGEST_RETRY: Final = 8.0
LONGEST_RETRY_AFTER: Final = 60.0
RETRY_STATUSES: Final = frozenset({408, 429, 502, 503, 504})

# Polling a job: quick at first, slower for as long as nothing changes.
FIRST_POLL: Final = 0.2
POLL_FACTOR: Final = 1.3
LONGEST_POLL: Final = 5.0
# How long a wait outlives a service that does not answer (a deploy, a lost network).
LONGEST_OUTAGE: Final = 300.0

# The embedded stack.
LOCAL_START: Final = 90.0
LOCAL_STOP: Final = 40.0
LOCAL_POLL: Final = 0.1

CHUNK_BYTES: Final = 1 << 20
PAGE_LIMIT: Final = 100
