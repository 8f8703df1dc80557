"""The store: econe's rows in SQLite, and the vault of image content.

Kept light: the disk probe runs as a child of this package and must not load a database library.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from econe.store.sqlite import DatabaseStore


def open_store(state: Path, *, url: str | None = None) -> "DatabaseStore":
    """Open, and make where absent, the database and the key file in the directory `state`.

    `url` names another database than `state/econe.db` (SQLAlchemy's form, `sqlite:////path`).
    Brings the schema up to date. Safe in several processes at once. Raises StoreUnusable with
    a sentence for the operator.
    """
    from econe.store.sqlite import open_database  # late: SQLAlchemy takes 0.2 s to load

    return open_database(state, url)
