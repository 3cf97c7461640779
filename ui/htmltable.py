"""Tables of the pages that stand alone."""

from collections.abc import Sequence
from html import escape


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int]) -> str:
    """A table, under heads if there are any; the columns numbered in `text` are set left."""

    def line(tag: str, values: Sequence[str]) -> str:
        starts = (f'<{tag} class="text">' if i in text else f"<{tag}>" for i in range(len(values)))
        cells = (f"{start}{escape(value)}</{tag}>" for start, value in zip(starts, values, strict=True))
        return f"<tr>{''.join(cells)}</tr>"

    lines = "\n".join([*([line("th", heads)] if heads else []), *(line("td", row) for row in rows)])
    return f'<div class="wide"><table>\n{lines}\n</table></div>'
