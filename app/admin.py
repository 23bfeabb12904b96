"""The operator's way to tenants and their keys, straight on the database."""

import argparse
import os
import socket
from dataclasses import asdict
from datetime import timedelta

from app.domain.problems import NotFound
from app.domain.records import ALL_SCOPES, Key, Tenant
from app.home import migrate
from app.settings import Settings
from app.store.blobs import open_blobs
from app.store.database import Store, Transaction
from app.store.garbage import BlobsTaken, Collector


class AdminError(Exception):
    """What was asked for cannot be done, in words its operator can act on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``tenants create|list``, ``keys create|list|revoke`` and ``collect``."""
    nouns = parser.add_subparsers(required=True, metavar="NOUN")

    tenants = nouns.add_parser("tenants", help="who owns datasets, jobs and keys")
    verbs = tenants.add_subparsers(required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a tenant; its first key comes separately")
    create.add_argument("name")
    create.set_defaults(action=_create_tenant)
    verbs.add_parser("list", help="id, name, age").set_defaults(
        action=lambda tx, _: _list_tenants(tx)
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
    create.set_defaults(action=_create_key)
    listing = verbs.add_parser("list", help="id, prefix, name, state, scopes")
    listing.add_argument("tenant", help="name or id")
    listing.set_defaults(action=_list_keys)
    revoke = verbs.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("tenant", help="name or id")
    revoke.add_argument("key", help="the key's id")
    revoke.set_defaults(action=_revoke_key)

    collecting = nouns.add_parser("collect", help="take away blobs that nothing names any more")
    collecting.add_argument("--dry-run", action="store_true", help="say what would be done")
    collecting.set_defaults(alone=_collect)


def run(settings: Settings, arguments: argparse.Namespace) -> list[str]:
    """Do what `arguments` say and return the lines to print.

    Raises:
        AdminError: an unknown tenant, key or scope, a name that is taken, or blobs that another
            process is busy with.
    """
    migrate(settings)
    store = Store(settings.database)
    try:
        if "alone" in arguments:
            told: list[str] = arguments.alone(settings, store, arguments)
            return told
        with store.write() as tx:
            lines: list[str] = arguments.action(tx, arguments)
            return lines
    finally:
        store.close()


def _collect(settings: Settings, store: Store, arguments: argparse.Namespace) -> list[str]:
    blobs = open_blobs(settings.blobs, settings.home)
    holder = f"{socket.gethostname()}:{os.getpid()}:collect"
    collector = Collector(store, blobs, settings.collect_grace_seconds, holder)
    try:
        done = collector.run_once(dry_run=arguments.dry_run)
    except BlobsTaken as taken:
        raise AdminError(taken.detail) from None
    return [f"{value:>16,}  {name.replace('_', ' ')}" for name, value in asdict(done).items()]


def _create_tenant(tx: Transaction, arguments: argparse.Namespace) -> list[str]:
    if tx.tenants.by_name(arguments.name) is not None:
        raise AdminError(f"there is a tenant {arguments.name!r} already")
    return [tx.tenants.create(arguments.name).id]


def _list_tenants(tx: Transaction) -> list[str]:
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
