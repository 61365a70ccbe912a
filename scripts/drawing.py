# SPDX-License-Identifier: Apache-2.0
"""What scripts/plot and scripts/pictures share: matplotlib, colours, names, bars."""

import os
import sys

LABELS = {
    "greedy": "greedy",
    "temperature": "temperature",
    "min-p": "min-p 0.05",
    "top-k": "top-k 50",
    "top-p": "top-p 0.95",
    "top-p+top-k": "top-p 0.95\n+ top-k 50",
    "logprobs": "logprobs",
    "penalties": "penalties,\n128 ids",
    "bitmask": "bitmask,\nhalf",
}
KINDS = {"flat": "#b8c4d6", "peaked": "#4c78a8", "zipf": "#1b2a41", "file": "#e0a030"}
MARK_COLOUR = "#c1121f"
TEXT_COLOUR = "#333333"


def find_matplotlib():
    """Import it, or start again with the Python that has it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        name = os.path.basename(sys.argv[0])
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        python = os.path.join(root, "build", "bench-venv", "bin", "python3")
        if not os.access(python, os.X_OK) or os.path.abspath(sys.executable) == python:
            sys.exit("%s: no matplotlib here: scripts/bench-venv --no-torch installs it" % name)
        os.execv(python, [python, *sys.argv])


def set_up():
    """matplotlib's pyplot, without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # Text stays text in the SVG, and the same numbers make the same file.
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "rankzero", "font.size": 9})
    return pyplot


def save_svg(figure, path):
    figure.savefig(path, metadata={"Date": None})


def draw_title(figure, text):
    figure.suptitle(text, fontsize=10, x=0.01, ha="left", color=TEXT_COLOUR)


def bare(axes, *sides):
    for side in sides:
        axes.spines[side].set_visible(False)


def places(filters, kinds):
    """Where bars are: each filter's, side by side, from the top down."""
    height = 0.8 / len(kinds)
    for f, name in enumerate(filters):
        for k, kind in enumerate(kinds):
            yield f + (k - (len(kinds) - 1) / 2) * height, height, name, kind


def draw_bars(axes, data, filters, kinds, column, form, marks=None):
    """Bars with their numbers behind them, and behind the marks: {(filter, kind): value}."""
    for y, height, name, kind in places(filters, kinds):
        row = data.get((name, kind))
        if row is None:
            continue
        value = float(row[column])
        axes.barh(y, value, height * 0.9, color=KINDS[kind])
        mark = (marks or {}).get((name, kind))
        if mark:
            half = height / 2
            axes.plot([mark, mark], [y - half, y + half], color=MARK_COLOUR, linewidth=2)
        axes.annotate(
            form % value, (mark if mark and value < mark < 1.2 * value else value, y), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8, color=TEXT_COLOUR, zorder=3,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    axes.set_yticks(range(len(filters)), [LABELS.get(f, f) for f in filters])
    axes.set_ylim(len(filters) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    bare(axes, "top", "right", "left")
