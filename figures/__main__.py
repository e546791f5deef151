"""python -m figures [RESULTS [FOLDER]]: draw every figure whose results exist, as PNG files."""

import sys
from pathlib import Path

from figures import FIGURES
from svmconv.errors import DataError


def main(results: str = "results", folder: str = "docs/figures") -> int:
    """1 if no figure could be drawn, else 0."""
    target, drawn = Path(folder), 0
    for name, draw in FIGURES.items():
        try:
            figure = draw(Path(results))
        except DataError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)
            continue
        target.mkdir(parents=True, exist_ok=True)
        figure.savefig(target / f"{name}.png")
        print(target / f"{name}.png")
        drawn += 1
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
