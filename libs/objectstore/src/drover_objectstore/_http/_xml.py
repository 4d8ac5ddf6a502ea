"""XML as S3 speaks it: written from nested rows, read without document types or depth."""

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from drover_objectstore.errors import MalformedXmlError

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
Tree = str | list[tuple[str, "Tree"]]
# What S3 is sent has four.
_DEPTH: Final = 16
# Line ends would be changed by whoever reads, and controls are no XML: S3 writes them so, too.
_REFERENCES: Final = str.maketrans(
    {chr(code): f"&#x{code:X};" for code in (*range(9), *range(11, 32))}
    | {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
)


def written(name: str, tree: Tree, *, namespace: bool = True) -> bytes:
    """Write a document."""
    attribute = f' xmlns="{NAMESPACE}"' if namespace else ""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}{attribute}>{_inner(tree)}</{name}>'
    return text.encode("utf-8", "replace")


def _inner(tree: Tree) -> str:
    if isinstance(tree, str):
        return tree.translate(_REFERENCES)
    return "".join(f"<{name}>{_inner(child)}</{name}>" for name, child in tree)


@dataclass
class Element:
    """An element that was read, without its attributes."""

    name: str
    text: str = ""
    children: list["Element"] = field(default_factory=list["Element"])

    def all(self, name: str) -> list["Element"]:
        """List the children of a name."""
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> str:
        """Give the text of a child; nothing if it is not there."""
        return next((child.text for child in self.children if child.name == name), "")

    def need(self, name: str) -> str:
        """Give the text of a child.

        Raises:
            MalformedXmlError: It is not there.
        """
        found = self.get(name)
        if not found:
            raise MalformedXmlError
        return found


class _Reader:
    """Builds the tree, and refuses what could make much of little."""

    def __init__(self) -> None:
        self.root = Element("")
        self._open = [self.root]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        if len(self._open) > _DEPTH:
            raise MalformedXmlError
        element = Element(name.rpartition(":")[2])
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, name: str) -> None:
        del name
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].text += data

    def doctype(self, *about: object) -> None:
        del about
        raise MalformedXmlError


def read(data: bytes, name: str) -> Element:
    """Read a document whose outermost element has that name.

    Raises:
        MalformedXmlError: It is no XML, or not that, or declares types or entities.
    """
    reader, parser = _Reader(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # No entity can be declared outside of a document type.
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        raise MalformedXmlError from None
    (found,) = reader.root.children
    if found.name != name:
        raise MalformedXmlError
    return found
