"""What a disk that refuses means for whoever asked."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from limpet.errors import BadRequest, Conflict, NoRoom

log = logging.getLogger(__name__)

NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Nothing is there, or what is there is a link or no folder."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def explained() -> Iterator[None]:
    """Turns an OSError into an error with words; where files are is told in the log alone."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoRoom("There is not enough room on the disk of the uploads; delete some files") from error
        if error.errno == errno.ENAMETOOLONG:
            raise BadRequest("the name is longer than the disk of the uploads can take") from error
        if error.errno == errno.EXDEV:
            raise Conflict("This would move it to another disk; copy it, and delete it then") from error
        if error.errno in NOTHING:
            raise Conflict("A file is in the way, or the folder of the uploads is not there") from error
        log.warning("the uploads: %s", error)
        raise Conflict(f"The folder of the uploads cannot be used: {error.strerror}") from error
