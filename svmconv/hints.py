"""What to say to a word that is not known. Imports nothing heavy: the command line needs it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """`did you mean 'margin'?`, or, where nothing is near, `otherwise` or all that is known."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return otherwise or f"choose one of {', '.join(known)}"
