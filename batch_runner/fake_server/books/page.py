"""`/stats.html`: the books as a small page that a person can leave open."""

from collections.abc import Mapping
from html import escape

from batch_runner.fake_server.books.ledger import Books, Row

ROWS_SHOWN = 200
PROMPT_SHOWN = 100
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse; margin: 1em 0 }}
th, td {{ text-align: left; padding: .15em 1em .15em 0; border-bottom: 1px solid #ddd; vertical-align: top }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
</style>
<h1>{title}</h1>
{body}
</html>
"""
LIMIT_COLUMNS = ("name", "used_share", "used", "granted", "refused", "worst_second", "worst_minute")


def page(scenario: str, books: Books) -> str:
    """The whole page."""
    title = f"Fake gateway: {scenario}"
    stats = books.as_json(rows=False)
    parts = [_pairs("Totals", stats["totals"])]
    if stats["limits"]:
        lines = [[limit[name] for name in LIMIT_COLUMNS] for limit in stats["limits"]]
        parts.append(_table("Limits", LIMIT_COLUMNS, lines))
    parts.append(_rows(books.newest_rows(ROWS_SHOWN), len(books.rows)))
    return PAGE.format(title=escape(title), body="\n".join(parts))


def _pairs(title: str, pairs: Mapping[str, object]) -> str:
    return _table(title, ("", ""), [[name, value] for name, value in pairs.items()])


def _rows(newest: Mapping[str, Row], count: int) -> str:
    title = f"Rows ({len(newest)} of {count})"
    return _table(title, ("row", "prompt", "attempts"), [_row(key, row) for key, row in newest.items()])


def _row(key: str, row: Row) -> list[object]:
    prompt = row.prompt if len(row.prompt) <= PROMPT_SHOWN else row.prompt[:PROMPT_SHOWN] + "…"
    return [key, prompt, ", ".join(f"{attempt.outcome} at {attempt.at:.1f} s" for attempt in row.attempts)]


def _table(title: str, names: tuple[str, ...], lines: list[list[object]]) -> str:
    heads = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    cells = "\n".join(f"<tr>{''.join(_cell(value) for value in line)}</tr>" for line in lines)
    return f"<h2>{escape(title)}</h2>\n<table>\n<tr>{heads}</tr>\n{cells}\n</table>"


def _cell(value: object) -> str:
    if isinstance(value, int | float):
        return f'<td class="number">{value:,.3f}</td>' if isinstance(value, float) else f'<td class="number">{value:,}</td>'
    if isinstance(value, Mapping):
        value = ", ".join(f"{name} {number:,}" for name, number in value.items()).replace("_", " ")
    return f"<td>{'' if value is None else escape(str(value))}</td>"
