"""Reading files that may be damaged or forged: bounded in size, whole, checksum verified."""

from __future__ import annotations

import hashlib
import lzma
import zlib
from pathlib import Path

from svmconv.errors import DataError

_XZ_MEMORY = 2**28


def read(path: Path, most: int) -> bytes:
    """The bytes of a file; DataError if there are more than `most` or they cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): make it readable") from None
    return check_size(content, most, path)


def decompress(packed: bytes, path: Path, most: int) -> bytes:
    """What a .gz or .xz file holds, at most `most` bytes of it; any other file as it is.

    Raises DataError if the file is damaged, cut short, or holds more.
    """
    if path.suffix == ".gz":
        decompressor = zlib.decompressobj(wbits=31)  # 31: with gzip's header and checksum
    elif path.suffix == ".xz":
        decompressor = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
    else:
        return packed
    try:
        content = decompressor.decompress(packed, most + 1)
    except (zlib.error, lzma.LZMAError) as error:
        raise DataError(f"{path} is damaged ({error}): put an intact copy in its place") from None
    check_size(content, most, path)
    if not decompressor.eof:
        raise DataError(f"{path} is cut short: put an intact copy in its place")
    return content


def check_size(content: bytes, most: int, origin: object) -> bytes:
    """The content; DataError if it exceeds `most` bytes."""
    if len(content) > most:
        raise DataError(
            f"{origin} holds more than the {most:,} bytes the official file can have: "
            "put an intact copy in its place"
        )
    return content


def check_sha256(content: bytes, official: tuple[str, ...], origin: object) -> None:
    """Raise DataError unless the content has one of the official checksums."""
    found = hashlib.sha256(content).hexdigest()
    if found not in official:
        raise DataError(
            f"{origin} is cut short or not the official file (its SHA-256 begins with {found[:8]}, "
            f"not {official[0][:8]}): put an intact copy in its place, or remove it"
        )
