"""Ratios beside what is wanted of them, as an SVG picture. Pure, as bench.report is."""

from xml.sax.saxutils import escape

_LABEL, _SPEED, _MEMORY, _GAP, _ROW, _TOP = 360, 420, 240, 40, 30, 64
_GOOD, _SHORT, _FREE = "#3d7ea6", "#c8553d", "#8aa0ad"


def _text(x, y, words, anchor="start", weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(words)}</text>'


def _bars(rows, left, width, value_key, target_key, verdict_key):
    """One bar per row, and a black line at what is wanted. Room is left for the number behind the longest."""
    top = max([1.0] + [value for row in rows for value in (row[value_key], row[target_key]) if value is not None])
    scale = (width - 50) / top
    parts = []
    for i, row in enumerate(rows):
        y = _TOP + i * _ROW
        colour = {"good": _GOOD, "SHORT": _SHORT}.get(row[verdict_key], _FREE)
        length = row[value_key] * scale
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="18" fill="{colour}"/>')
        end = max(length, (row[target_key] or 0) * scale)
        parts.append(_text(left + end + 5, y + 14, f"{row[value_key]:.2f}"))
        if row[target_key] is not None:
            x = left + row[target_key] * scale
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 4}" y2="{y + 22}" stroke="black" stroke-width="2"/>')
    x = left + scale
    bottom = _TOP + len(rows) * _ROW
    parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{bottom}" stroke="grey" stroke-dasharray="2 3"/>')
    return parts


def svg(rows, cpu_name):
    right = _LABEL + _SPEED + _GAP
    width, height = right + _MEMORY + 10, _TOP + len(rows) * _ROW + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             _text(10, 20, f"cogvx beside others at the same work, {cpu_name}; black: what is wanted, dotted: equal"),
             _text(_LABEL, 46, "times as fast", weight="bold"), _text(right, 46, "peak memory, ours / theirs", weight="bold")]
    for i, row in enumerate(rows):
        threads = f", {row['threads']} threads" if row["threads"] > 1 else ""
        parts.append(_text(_LABEL - 8, _TOP + i * _ROW + 14, f"{row['title']}, {row['dtype']}{threads} ({row['rival']})", "end"))
    parts += _bars(rows, _LABEL, _SPEED, "ratio", "target", "verdict")
    parts += _bars(rows, right, _MEMORY, "peak_ratio", "peak_target", "peak_verdict")
    return "\n".join(parts + ["</svg>"]) + "\n"
