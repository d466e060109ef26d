"""What Alembic runs: the revisions in ``versions``, on a connection and in a transaction of the caller's.

:mod:`harness.store.upgrade` is the caller. To change the tables, change :mod:`harness.store.schema`, add a file to
``versions`` whose number follows the newest one, and raise ``VERSION``.
"""

from __future__ import annotations

from alembic import context

from harness.store.schema import METADATA

given = context.config.attributes
context.configure(connection=given["connection"], version_table=given["version_table"], target_metadata=METADATA)
context.run_migrations()
