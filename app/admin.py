"""The operator's way to tenants, keys, blobs and backups, straight on database and blob store."""

import argparse
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

from sqlalchemy.exc import DBAPIError

from app.backup import commands
from app.backup.findings import in_words
from app.domain.problems import NotFound
from app.domain.records import ALL_SCOPES, Key, Tenant
from app.home import migrate
from app.settings import Settings
from app.store.database import Store, Transaction
from app.store.garbage import Collector
from app.store.roles import new_holder

Action = Callable[[Settings, argparse.Namespace, Callable[[str], None]], None]


class AdminError(Exception):
    """What was asked for cannot be done, in words its operator can act on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``tenants create|list``, ``keys create|list|revoke``, ``backup|verify|restore``, ``collect``."""
    nouns = parser.add_subparsers(required=True, metavar="NOUN")

    tenants = nouns.add_parser("tenants", help="who owns datasets, jobs and keys")
    verbs = tenants.add_subparsers(required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a tenant; its first key comes separately")
    create.add_argument("name")
    create.set_defaults(action=_in_a_transaction(_create_tenant))
    verbs.add_parser("list", help="id, name, age").set_defaults(
        action=_in_a_transaction(_list_tenants)
    )

    keys = nouns.add_parser("keys", help="what a tenant's clients sign in with")
    verbs = keys.add_subparsers(required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a key and print it, once")
    create.add_argument("tenant", help="name or id")
    create.add_argument("--name", default="admin", help="what the key is for")
    create.add_argument(
        "--scopes",
        default="all",
        help="comma-separated, e.g. datasets:read,jobs:write; default: all of them",
    )
    create.add_argument("--days", type=float, help="expires after this many days")
    create.set_defaults(action=_in_a_transaction(_create_key))
    listing = verbs.add_parser("list", help="id, prefix, name, state, scopes")
    listing.add_argument("tenant", help="name or id")
    listing.set_defaults(action=_in_a_transaction(_list_keys))
    revoke = verbs.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("tenant", help="name or id")
    revoke.add_argument("key", help="the key's id")
    revoke.set_defaults(action=_in_a_transaction(_revoke_key))

    commands.add_arguments(nouns)

    collecting = nouns.add_parser(
        "collect", help="set aside blobs that nothing names any more, destroy those long set aside"
    )
    collecting.add_argument("--dry-run", action="store_true", help="say what would be done")
    collecting.set_defaults(action=_collect)


def run(settings: Settings, arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Do what `arguments` say and hand each line to print to `say`, as soon as there is one.

    Raises:
        AdminError: an unknown tenant, key or scope, or a name that is taken; what a disk or a database said.
        BlobsTaken: another process is busy with the blobs.
        BackupError: a backup that cannot be made or used, or a fault in what was looked at.
    """
    with _faults_in_words():
        arguments.action(settings, arguments, say)


@contextmanager
def _faults_in_words() -> Iterator[None]:
    """Turn what a disk or a database says into a sentence: a damaged one is what brings an operator here."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise AdminError(f"{where}{error.strerror or error}") from error
    except KeyboardInterrupt:
        raise AdminError("interrupted; what was under way is not finished") from None
    except DBAPIError as error:
        raise AdminError(f"the database cannot be used: {error.orig}") from error
    except sqlite3.Error as error:  # not through the store: the names of blobs
        raise AdminError(f"the system's temporary folder cannot be used: {error}") from error


def _in_a_transaction(act: Callable[[Transaction, argparse.Namespace], list[str]]) -> Action:
    """Return an action that brings the database up to date and does `act` as one transaction."""

    def action(
        settings: Settings, arguments: argparse.Namespace, say: Callable[[str], None]
    ) -> None:
        migrate(settings)
        with closing(Store(settings.database)) as store, store.write() as tx:
            lines = act(tx, arguments)
        for line in lines:
            say(line)

    return action


def _collect(settings: Settings, arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    with commands.service(settings) as (store, blobs):
        store.migrate()
        collector = Collector(store, blobs, settings.collect_grace_seconds, new_holder())
        done = collector.run_once(dry_run=arguments.dry_run)
    if arguments.dry_run:
        say("nothing was done; a round would have")
    say(f"cleared      {done.cleared:,} tasks of ended jobs of results and checkpoints")
    say(f"forgotten    {done.rows:,} blobs, as stored for their tenant")
    say(f"set aside    {done.set_aside:,} blobs ({in_words(done.set_aside_bytes)})")
    say(f"destroyed    {done.destroyed:,} blobs ({in_words(done.destroyed_bytes)})")


def _create_tenant(tx: Transaction, arguments: argparse.Namespace) -> list[str]:
    if tx.tenants.by_name(arguments.name) is not None:
        raise AdminError(f"there is a tenant {arguments.name!r} already")
    return [tx.tenants.create(arguments.name).id]


def _list_tenants(tx: Transaction, _: argparse.Namespace) -> list[str]:
    return [f"{t.id}  {t.created_at:%Y-%m-%d}  {t.name}" for t in tx.tenants.list()]


def _create_key(tx: Transaction, arguments: argparse.Namespace) -> list[str]:
    tenant = _tenant(tx, arguments.tenant)
    scopes = ALL_SCOPES if arguments.scopes == "all" else frozenset(arguments.scopes.split(","))
    if unknown := scopes - ALL_SCOPES:
        raise AdminError(
            f"no such scope: {', '.join(sorted(unknown))}; there are {', '.join(sorted(ALL_SCOPES))}"
        )
    expires_at = None if arguments.days is None else tx.now() + timedelta(days=arguments.days)
    key, secret = tx.keys.create(tenant.id, arguments.name, scopes, expires_at)
    return [f"id   {key.id}", f"key  {secret}", "It is kept as a hash and cannot be shown again."]


def _list_keys(tx: Transaction, arguments: argparse.Namespace) -> list[str]:
    return [_line(key, tx) for key in tx.keys.list(_tenant(tx, arguments.tenant).id)]


def _revoke_key(tx: Transaction, arguments: argparse.Namespace) -> list[str]:
    tenant = _tenant(tx, arguments.tenant)
    if not tx.keys.revoke(tenant.id, arguments.key):
        raise AdminError(f"tenant {tenant.name!r} has no key {arguments.key} that is not revoked")
    return [f"revoked {arguments.key}"]


def _line(key: Key, tx: Transaction) -> str:
    state = "active"
    if key.revoked_at is not None:
        state = "revoked"
    elif key.expires_at is not None and key.expires_at <= tx.now():
        state = "expired"
    scopes = "all" if key.scopes == ALL_SCOPES else ",".join(sorted(key.scopes))
    used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
    return f"{key.id}  {key.prefix}…  {state}  {used}  {key.name}  {scopes}"


def _tenant(tx: Transaction, name_or_id: str) -> Tenant:
    if tenant := tx.tenants.by_name(name_or_id):
        return tenant
    try:
        found: Tenant | None = tx.tenants.get(name_or_id)
    except NotFound:
        found = None
    if found is None:
        raise AdminError(f"there is no tenant {name_or_id!r}")
    return found
