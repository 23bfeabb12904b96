"""A role is one process's at a time."""

from app.store.database import Store


def test_a_role_has_one_holder_who_may_keep_it(store: Store) -> None:
    with store.write() as tx:
        assert tx.roles.hold("r", "a", 30)
        assert tx.roles.hold("r", "a", 30)
        assert not tx.roles.hold("r", "b", 30)
        assert tx.roles.hold("other", "b", 30)


def test_a_role_goes_on_when_its_lease_ends_or_is_given_up(store: Store) -> None:
    with store.write() as tx:
        tx.roles.hold("r", "a", -1)
        assert tx.roles.hold("r", "b", 30)
        tx.roles.give_up("r", "a")
        assert not tx.roles.hold("r", "a", 30)
        tx.roles.give_up("r", "b")
        assert tx.roles.hold("r", "a", 30)
