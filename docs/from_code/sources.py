"""What the code says about itself: docstrings, and the strings under fields and members."""

import ast
import inspect
import re
import textwrap
from itertools import pairwise

WRITTEN_BY = "<!-- Written by docs/generate.py from the code. Change the code, then run it. -->"


def summary(thing: object) -> str:
    """Give a docstring as one paragraph, without what follows the first blank line."""
    return one_line((inspect.getdoc(thing) or "").split("\n\n")[0])


def one_line(text: str) -> str:
    """Join lines; keep no bar that would end a table's cell."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def notes(owner: type) -> dict[str, str]:
    """Read the strings that stand under the fields or members of a class.

    Returns:
        Name to text in one line, in the order of the source. Names without a text are left out.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    found: dict[str, str] = {}
    for before, node in pairwise(body):
        text = _string(node)
        name = _assigned(before)
        if text is not None and name is not None:
            found[name] = one_line(text)
    return found


def _string(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        value = node.value.value
        return value if isinstance(value, str) else None
    return None


def _assigned(node: ast.stmt) -> str | None:
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    if isinstance(node, ast.AnnAssign):
        target = node.target
    return target.id if isinstance(target, ast.Name) else None
