"""What is kept: at most so many bytes, the oldest forgotten first."""

import torch

from models.alia.editing.keeping import Keeping


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    keeping = Keeping(2 * 40)
    for key in "abacab":  # c takes b's place, then b takes c's
        assert keeping.get(key, lambda key=key: torch.full((10,), float(ord(key))))[0] == ord(key)  # type: ignore[misc]
    assert keeping.computed == 4


def test_a_tensor_larger_than_all_that_may_be_kept_is_returned() -> None:
    keeping = Keeping(10)
    assert keeping.get("a", lambda: torch.ones(100)).sum() == 100
    assert keeping.get("b", lambda: torch.zeros(100)).sum() == 0
    assert keeping.computed == 2
