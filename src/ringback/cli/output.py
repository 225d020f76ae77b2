"""Print text and JSON. A terminal gets wrapped lines; a pipe gets whole ones. Nothing is cut in either."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import typer

INDENT = "    "
GAP = "  "


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of a line. It is broken only if it is longer than a line of the terminal."""

    text: str
    colour: str | None = None
    bold: bool = False


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def visible(value: Any) -> str:
    """Format a value for a terminal. Control characters, which could move the cursor, are written as escapes."""
    if isinstance(value, str) and value.isprintable():
        return value
    return json.dumps(value, ensure_ascii=not isinstance(value, dict | list))


def terminal_width() -> int | None:
    """Return the width of the terminal. None: the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_sentences(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print_row([Cell(word) for word in sentence.split(" ")], gap=" ")


def print_row(cells: Sequence[Cell], gap: str = GAP) -> None:
    """Print one row: one line in a pipe, as many as it needs on a terminal."""
    width = terminal_width()
    lines = [list(cells)] if width is None else _wrapped(cells, gap, max(width, len(INDENT) + 1))
    for number, line in enumerate(lines):
        if line:
            line[-1] = replace(line[-1], text=line[-1].text.rstrip())
        texts = [
            typer.style(cell.text, fg=cell.colour, bold=cell.bold or None)
            if width is not None and (cell.colour or cell.bold)
            else cell.text
            for cell in line
        ]
        typer.echo((INDENT if number else "") + gap.join(texts).rstrip())


def print_table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Print rows with aligned columns. The last column is not padded."""
    every = [tuple(header), *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(header) - 1)]
    for number, row in enumerate(every):
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        print_row([Cell(text, bold=number == 0) for text in (*padded, row[-1])])


def _wrapped(cells: Sequence[Cell], gap: str, width: int) -> list[list[Cell]]:
    lines: list[list[Cell]] = [[]]
    used = 0
    for cell in cells:
        pieces = [cell]
        if len(cell.text.rstrip()) > width - len(INDENT):
            texts = textwrap.wrap(cell.text, width - len(INDENT), break_long_words=False, break_on_hyphens=False)
            pieces = [Cell(text, cell.colour, cell.bold) for text in texts]
        for piece in pieces:
            length = len(piece.text.rstrip()) if piece is cell else len(piece.text)
            if lines[-1] and used + len(gap) + length > width:
                lines.append([])
                used = len(INDENT)
            used += (len(gap) if lines[-1] else 0) + len(piece.text)
            lines[-1].append(piece)
    return lines
