"""The lines of docs/what-we-found.md print what stands below them."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

DOCUMENT = (Path(__file__).parents[1] / "docs" / "what-we-found.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", DOCUMENT, re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=["constant steps", "dual acceleration"])
def test_the_numbers_are_those_that_it_prints(code, printed, capsys):
    exec(code, {})
    assert capsys.readouterr().out == dedent(printed)
