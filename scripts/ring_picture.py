# SPDX-License-Identifier: Apache-2.0
"""The picture of docs/ring.md: a job's segment, and the ring in it. Widths are not to scale."""

from drawing import TEXT_COLOUR

# Who writes: fill, edge.
ONCE = ("#eeeeee", "#999999")
PRODUCER = ("#dbeafe", "#2b6cb0")
OWNER = ("#fde8c8", "#c77700")
ANYBODY = ("#dcf1dc", "#2f855a")
WRITERS = [
    (ONCE, "written once, before any other rank sees it"),
    (PRODUCER, "the producer writes"),
    (OWNER, "the rank that it belongs to writes"),
    (ANYBODY, "any rank, in one step that cannot be torn"),
]
LINE = 128

# What is where: (width, colours, name, what it holds).
SEGMENT = [
    (95, ONCE, "header", "1 page"),
    (180, ANYBODY, "control", "sleepers, ended; ranks"),
    (130, OWNER, "bells", "a page a rank"),
    (120, OWNER, "ring control", "a line a rank"),
    (160, PRODUCER, "ring data", "tail, slots"),
    (155, OWNER, "logits", "shard of each rank"),
]
CONTROL = [
    (OWNER, "cursor of rank 0", "unused: it is the producer"),
    (OWNER, "cursor of rank 1", "u32 consumed, u32 seat"),
    (OWNER, "cursor of rank 2", "u32 consumed, u32 seat"),
]
DATA = [
    (PRODUCER, "tail, then evicted", "u32 published; u32 a rank"),
    (PRODUCER, "slot 0", "records 16, 32, ..."),
    (PRODUCER, "slot 1", "records 1, 17, ..."),
]
SLOT = [
    (120, "0", "u64 stamp", "number of the record; 0: being written"),
    (120, "8", "u64 kind", "type << 32 | bytes"),
    (400, "16", "u64 payload[ ]", "the record, to a whole number of lines"),
]


def box(x, y, width, height, colours):
    fill, edge = colours
    return '<rect x="%d" y="%d" width="%d" height="%d" fill="%s" stroke="%s"/>' % (
        x, y, width, height, fill, edge,
    )  # fmt: skip


def label(x, y, text, size=13, anchor="start", bold=False):
    weight = ' font-weight="bold"' if bold else ""
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return '<text x="%d" y="%d" font-size="%d" text-anchor="%s"%s>%s</text>' % (
        x, y, size, anchor, weight, text,
    )  # fmt: skip


def zoom(left, right, top, to_left, to_right, bottom):
    """Lines from the ends of a part to the ends of what it is made of."""
    return "".join(
        '<path d="M%d %d %d %d" stroke="#999" stroke-dasharray="4 3" fill="none"/>'
        % (a, top, b, bottom)
        for a, b in ((left, to_left), (right, to_right))
    )


def draw_lines(x, y, width, parts, offsets):
    shapes = []
    for i, (colours, name, holds) in enumerate(parts):
        top = y + 44 * i
        shapes += [
            box(x, top, width, 44, colours),
            label(x - 6, top + 16, offsets[i], 12, "end"),
            label(x + 10, top + 19, name, 13, bold=True),
            label(x + 10, top + 36, holds, 12),
        ]
    shapes.append(label(x + width / 2, y + 44 * len(parts) + 18, "...", 15, "middle"))
    return shapes


def draw_segment(x, y):
    shapes, places = [], {}
    for width, colours, name, holds in SEGMENT:
        places[name] = (x, x + width)
        shapes += [
            box(x, y, width, 54, colours),
            label(x + width / 2, y + 23, name, 14, "middle", bold=True),
            label(x + width / 2, y + 42, holds, 12, "middle"),
        ]
        x += width
    return shapes, places


def draw_slot(x, y):
    shapes = []
    for width, offset, name, holds in SLOT:
        shapes += [
            box(x, y, width, 40, PRODUCER),
            label(x, y - 6, offset, 12),
            label(x + 10, y + 25, name, 13, bold=True),
            label(x if width < 200 else x + 4, y + 57 + (16 if offset == "8" else 0), holds, 12),
        ]
        x += width
    return shapes


def draw_ring(_build, out):
    segment, places = draw_segment(30, 40)
    shapes = [label(30, 26, "A job's segment; each part begins on a page", 14), *segment]
    control, data = places["ring control"], places["ring data"]
    shapes += [zoom(*control, 94, 110, 350, 150), zoom(*data, 94, 540, 790, 150)]
    lines = [str(LINE * i) for i in range(3)]
    shapes += draw_lines(110, 150, 240, CONTROL, lines)
    shapes += draw_lines(540, 150, 250, DATA, ["0", "512", "512 + S"])
    shapes += [zoom(540, 790, 282, 130, 770, 350), label(30, 376, "a slot,", 13)]
    shapes += [label(30, 393, "S bytes", 13), *draw_slot(130, 350)]
    for i, (colours, text) in enumerate(WRITERS):
        x, y = 30 + 440 * (i % 2), 452 + 24 * (i // 2)
        shapes += [box(x, y, 16, 16, colours), label(x + 24, y + 13, text)]
    with open(out, "w", encoding="utf-8") as file:
        file.write(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 510" '
            'font-family="Helvetica, Arial, sans-serif" role="img" '
            'aria-label="The parts of a segment in shared memory, and of the ring in it">\n'
            '<rect width="900" height="510" fill="#fff"/>\n<g fill="%s">\n%s\n</g>\n</svg>\n'
            % (TEXT_COLOUR, "\n".join(shapes))
        )
    return "lines of %d bytes" % LINE
