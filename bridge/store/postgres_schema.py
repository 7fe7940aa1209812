"""Brings the PostgreSQL schema up to date. Migrations only add: the bridge also runs on the next version's schema."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from bridge.core.errors import StoreUnavailable
from bridge.store.database import CREATION_FORBIDDEN
from bridge.store.statements import Dialect, load_migrations

_AHEAD = 1
# An arbitrary number, the same for all replicas:
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_LOCK = 7_221_405_530_912_841


async def migrate(
    connection: psycopg.AsyncConnection[Any], schema: str, dialect: Dialect, *, create: bool = True
) -> bool:
    """Bring the schema up to date. True if the schema held no store before; without `create` that is an error.

    Raises: StoreUnavailable (also: schema too new, or the role may not change the schema).
    """
    steps = load_migrations(dialect)
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        # replicas that start together: the first migrates, the others wait for the lock and find the work done
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        version = await _version(connection, schema)
        if version > len(steps) + _AHEAD:
            raise StoreUnavailable(
                f"the schema {schema} has version {version}; this version works with versions up to "
                f"{len(steps) + _AHEAD}"
            )
        if version >= len(steps):
            return False
        if version == 0 and not create:
            raise StoreUnavailable(f"the schema {schema} holds no store, {CREATION_FORBIDDEN}")
        try:
            await _grow(connection, schema, version, steps)
        except psycopg.errors.InsufficientPrivilege:
            raise StoreUnavailable(
                f"the schema {schema} has version {version}, this version needs {len(steps)}, and the role may not "
                f"change it: CREATE SCHEMA {schema} AUTHORIZATION <role>"
            ) from None
        return version == 0


async def _version(connection: psycopg.AsyncConnection[Any], schema: str) -> int:
    name = f"{schema}.schema_version"
    cursor = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
    row = await cursor.fetchone()
    if row is None or not row[0]:
        return 0
    cursor = await connection.execute(sql.SQL("SELECT max(version) FROM {}").format(_table(schema)))
    row = await cursor.fetchone()
    return int(row[0] or 0) if row else 0


async def _grow(connection: psycopg.AsyncConnection[Any], schema: str, version: int, steps: list[str]) -> None:
    cursor = await connection.execute("SELECT to_regnamespace(%s) IS NULL", (schema,))
    row = await cursor.fetchone()
    if row and row[0]:
        await connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    if version == 0:
        table = sql.SQL("CREATE TABLE {} (version INTEGER NOT NULL, at TIMESTAMPTZ NOT NULL DEFAULT now())")
        await connection.execute(table.format(_table(schema)))
    for number, step in enumerate(steps[version:], start=version + 1):
        await connection.execute(step.encode())
        insert = sql.SQL("INSERT INTO {} (version) VALUES (%s)").format(_table(schema))
        await connection.execute(insert, (number,))


def _table(schema: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(sql.Identifier(schema), sql.Identifier("schema_version"))
