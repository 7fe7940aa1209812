"""Notices that the store's file was taken away under the open connection: deleted, replaced, emptied, overwritten.

SQLite itself goes on with its open descriptors, so without the guard every turn would be acknowledged into a file that
nobody can open again (https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use).
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

from bridge.core.errors import StoreUnavailable

# Bytes of the file's header: page size at 16, number of pages at 28, PRAGMA application_id at 68.
# https://www.sqlite.org/fileformat.html#the_database_header
_HEADER = 100


_EMPTIED, _OVERWRITTEN = "was emptied or cut", "was overwritten"


@dataclass(slots=True)
class _Watched:
    """A file of the store: its identity on the disk, and the size when seen last (bytes)."""

    path: Path
    identity: tuple[int, int]
    size: int


class FileGuard:
    """Watches the files of an open store. Runs in the thread of the connection.

    Each opening writes a new random mark into the file's header, so that even an older copy of the same store, copied
    over the open file, is recognised. The guard's descriptor is closed after the connection: a POSIX lock of a process
    is lost with the first of the process's descriptors that is closed
    (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._name = path.name
        self._connection = connection
        self._mark = secrets.randbelow(2**31 - 1) + 1
        connection.execute(f"PRAGMA application_id = {self._mark}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # the mark moves from the WAL to the file
        # SQLite keeps the WAL beside the file that a symbolic link leads to
        self._file, self._wal = _watched(path), _watched(Path(os.path.realpath(path) + "-wal"))
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def check(self) -> None:
        """Compare the files with the files that were opened. Raises: StoreUnavailable."""
        if lost := self._lost():
            if lost in (_EMPTIED, _OVERWRITTEN) and sys.version_info >= (3, 12):
                # closing would write pages of the old store into the present file
                self._connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
            raise StoreUnavailable(
                f"{self._name} {lost} while the bridge was running: stop the bridge, put the store back, start again"
            )

    def close(self) -> None:
        """Close the guard's descriptor; the connection must be closed before."""
        os.close(self._descriptor)

    def _lost(self) -> str:
        """The loss, as the end of a sentence about the store; "" if the files are in place."""
        lost = _changed(self._file)
        # a VACUUM shrinks the file too, but then the file has room for all pages
        if lost and (lost != _EMPTIED or self._pages_cut()):
            return lost
        lost = _changed(self._wal)
        # the bridge's own checkpoints truncate the WAL too, but then SQLite expects no page there
        if lost and (lost != _EMPTIED or self._pages_missing()):
            return f"lost its write-ahead log (-wal), which {lost},"
        if self._header()[68:72] != self._mark.to_bytes(4, "big"):
            return _OVERWRITTEN
        return ""

    def _pages_cut(self) -> bool:
        """Whether the file, smaller than before, is too small for the pages that its header counts."""
        header, size = self._header(), self._file.path.stat().st_size
        pages, page = int.from_bytes(header[28:32], "big"), int.from_bytes(header[16:18], "big")
        if len(header) < _HEADER or size < pages * (65536 if page == 1 else page):
            return True
        self._file.size = size
        return False

    def _header(self) -> bytes:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, _HEADER)

    def _pages_missing(self) -> bool:
        """Whether SQLite expects pages in the write-ahead log that are not there."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:
            return True
        return False


def _watched(path: Path) -> _Watched:
    found = path.stat()
    return _Watched(path, (found.st_dev, found.st_ino), found.st_size)


def _changed(watched: _Watched) -> str:
    """The change of the file since it was opened or seen last; "" if there is none."""
    try:
        found = watched.path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "was deleted or moved"
    except OSError as error:
        return f"cannot be reached ({errno.errorcode.get(error.errno or 0, 'unknown')})"
    if (found.st_dev, found.st_ino) != watched.identity:
        return "was replaced"
    if found.st_size < watched.size:
        return _EMPTIED
    watched.size = found.st_size
    return ""
