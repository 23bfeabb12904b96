"""Work that threads do ahead of its use, in order and never far ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    work: Callable[[T], R], todo: Iterable[T], *, threads: int, most: int
) -> Generator[R, None, None]:
    """Yield ``work`` of each in order; at most ``most`` are begun and not yet taken.

    An exception of `work` is raised where its result would have been taken. Closing the iterator
    drops what has not begun and waits for what has.
    """
    rest = iter(todo)
    begun: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
    try:
        for one in rest:
            begun.append(pool.submit(work, one))
            if len(begun) >= most:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
