"""Where the files of a data set come from: SVMCONV_DATA, the system's data folder, a download."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from svmconv.errors import DataError

_SYSTEM = "/usr/share/datasets"  # Debian's dataset-fashion-mnist installs there


def find(*places: str) -> Path | None:
    """The first of the places, such as "mnist/file.gz", in SVMCONV_DATA or the system's folder.

    Raises DataError if SVMCONV_DATA is set to something that is not a folder.
    """
    given = os.environ.get("SVMCONV_DATA")
    if given and not os.path.isdir(given):
        raise DataError(
            f"SVMCONV_DATA={given} is not a folder: set it to the one that holds mnist, "
            "fashion-mnist and cifar10, or unset it"
        )
    roots = [given, _SYSTEM] if given else [_SYSTEM]
    paths = (Path(root, place) for root in roots for place in places)
    return next((path for path in paths if os.path.isfile(path)), None)


def download(place: str, sha256: str, mirrors: tuple[str, ...]) -> Path:
    """The file of that place from the first mirror that serves it intact, kept in pooch's cache.

    A copy already there is used if its checksum is right. Raises DataError without pooch, without
    a network, or if no mirror has the file with this SHA-256.
    """
    folder, file = place.split("/")
    put_it = f"put {file} into the folder {folder} of SVMCONV_DATA"
    try:
        import pooch
    except ImportError:
        raise DataError(
            f"no {place} at hand, and a download needs pooch: pip install 'svmconv[images]', "
            f"or {put_it}"
        ) from None
    cache = pooch.os_cache("svmconv") / folder
    failures = []
    for mirror in mirrors:
        try:
            return Path(pooch.retrieve(mirror + file, f"sha256:{sha256}", file, cache))
        except OSError as error:  # every network error of requests is one
            failures.append(f"{urlsplit(mirror).hostname}: {type(error).__name__}")
        except ValueError:
            failures.append(f"{urlsplit(mirror).hostname}: wrong checksum")
    raise DataError(
        f"no {place} at hand, and its download failed ({', '.join(failures)}): "
        f"check the network, or {put_it}"
    )
