# SPDX-License-Identifier: Apache-2.0
"""What scripts/plot draws of `rankzero bench ring --csv`."""

import drawing

WAYS = {
    "line": ("bare cache line", "#999999"),
    "ring-spin": ("ring, spinning", "#1b2a41"),
    "ring-sleep": ("ring, sleeping", "#4c78a8"),
    "pipe": ("pipe", "#b8c4d6"),
    "mqueue": ("message queue", "#8a6d3b"),
    "nano": ("nano-vLLM's way", "#e0a030"),
    "mpi": ("MPI_Bcast", "#c1121f"),
}
QUANTILES = {
    "p1_ns": 0.01, "p5_ns": 0.05, "p10_ns": 0.1, "p25_ns": 0.25, "p50_ns": 0.5, "p75_ns": 0.75,
    "p90_ns": 0.9, "p95_ns": 0.95, "p99_ns": 0.99, "p99_9_ns": 0.999,
}  # fmt: skip
TICKS = {0.1: "10 %", 0.5: "50 %", 0.9: "90 %", 0.99: "99 %", 0.999: "99.9 %"}
SIZE = "1024"  # of the records on the left: 256 ids


def nines(share):
    """Every 9 more takes as much room."""
    return 1 / (1 - share)


def draw_latencies(axes, rows, size):
    for row in rows:
        if row["measure"] != "round-trip" or row["bytes"] not in (size, "8"):
            continue
        points = [(float(row[c]) / 1000, nines(q)) for c, q in QUANTILES.items()]
        axes.plot(*zip(*points), color=WAYS[row["way"]][1], linewidth=1.5, marker="o", markersize=2.5)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_yticks([nines(q) for q in TICKS], list(TICKS.values()))
    axes.minorticks_off()
    axes.set_ylim(1, nines(0.9993))
    axes.set_xlabel("microseconds there and back, %s bytes" % size)
    axes.set_ylabel("share of the records that took no longer")
    drawing.bare(axes, "top", "right")


def draw_throughput(axes, rows):
    """A line for each way: solid to the fewest consumers, dashed to the most."""
    rows = [r for r in rows if r["measure"] == "throughput"]
    counts = sorted({int(r["consumers"]) for r in rows})
    for way, (_, colour) in WAYS.items():
        for consumers, style in {counts[-1]: "--", counts[0]: "-"}.items():
            points = sorted(
                (int(r["bytes"]), float(r["gb_per_s"]))
                for r in rows
                if r["way"] == way and int(r["consumers"]) == consumers
            )
            if points:
                axes.plot(
                    *zip(*points), color=colour, linewidth=1.5, linestyle=style, marker="o",
                    markersize=2.5,
                )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = sorted({int(r["bytes"]) for r in rows})
    axes.set_xticks(sizes, [str(s) for s in sizes])
    axes.minorticks_off()
    axes.set_xlabel("bytes of a record; solid: %d consumer%s%s" % (
        counts[0], "" if counts[0] == 1 else "s",
        ", dashed: %d" % counts[-1] if len(counts) > 1 else "",
    ))  # fmt: skip
    axes.set_ylabel("GB a second, to each")
    drawing.bare(axes, "top", "right")


def draw(rows, out, title):
    """As OUT.png and OUT.svg. What has not been measured has no picture."""
    pyplot = drawing.set_up()
    from matplotlib.lines import Line2D

    measures = {r["measure"] for r in rows}
    panels = [m for m in ("round-trip", "throughput") if m in measures]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.8 * len(panels), 3.8), squeeze=False)
    for panel, measure in zip(axes[0], panels):
        if measure == "throughput":
            draw_throughput(panel, rows)
            continue
        sizes = {r["bytes"] for r in rows if r["measure"] == measure and r["way"] != "line"}
        draw_latencies(panel, rows, SIZE if SIZE in sizes or not sizes else max(sizes, key=int))
    there = {r["way"] for r in rows}
    handles = [
        Line2D([], [], color=colour, linewidth=1.5, label=label)
        for way, (label, colour) in WAYS.items()
        if way in there
    ]
    drawing.draw_title(figure, title)
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(out + ".png", dpi=160)
    drawing.save_svg(figure, out + ".svg")
