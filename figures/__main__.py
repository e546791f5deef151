"""python -m figures [RESULTS [FOLDER]]: draw every figure whose results exist.

Each as NAME.png, NAME.pdf and NAME.json, its provenance; the same results give the same files.
"""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import FIGURES
from figures.provenance import provenance
from figures.saved import noting
from svmconv.errors import DataError

MANY = 1000
"""Points of a line or collection that becomes an image within the PDF."""


def main(results: str = "results", folder: str = "docs/figures") -> int:
    """1 if no figure could be drawn, 2 for an option, of which there are none; else 0."""
    if results.startswith("-") or folder.startswith("-"):
        print((__doc__ or "").partition("\n")[0], file=sys.stderr)
        return 2
    source, target, drawn = Path(results), Path(folder), 0
    for name, draw in FIGURES.items():
        try:
            with noting() as files:
                figure = draw(source)
        except DataError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)
            continue
        target.mkdir(parents=True, exist_ok=True)
        flatten(figure)
        figure.savefig(target / f"{name}.png")
        figure.savefig(target / f"{name}.pdf", metadata={"CreationDate": None})
        text = json.dumps(provenance(name, source, files), indent=1)
        (target / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
        print(target / f"{name}.png")
        drawn += 1
    return 0 if drawn else 1


def flatten(figure: Figure) -> None:
    """Let what has very many points be an image in the PDF, which stays small."""
    for artist in figure.findobj():
        if isinstance(artist, Line2D):
            points = np.size(artist.get_xdata())
        elif isinstance(artist, Collection):
            corners = sum(np.size(path.vertices) for path in artist.get_paths())
            points = max(corners, np.size(artist.get_offsets())) // 2
        else:
            continue
        if points > MANY:
            artist.set_rasterized(True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
