# SPDX-License-Identifier: Apache-2.0
"""Write and read .npy files without NumPy."""

import math
import struct


def header(descr, shape, fortran=False, version=1, pad=True):
    dims = ", ".join(str(n) for n in shape) + ("," if len(shape) == 1 else "")
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }" % (descr, fortran, dims)
    prefix = 10 if version == 1 else 12
    if pad:
        text += " " * (-(prefix + len(text) + 1) % 64) + "\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin1")


def write(path, descr, shape, data, **kwargs):
    with open(path, "wb") as file:
        file.write(header(descr, shape, **kwargs) + data)
    return path


def bf16(value):
    """The upper half of a float32, rounded towards zero."""
    return struct.unpack("<I", struct.pack("<f", value))[0] >> 16


def pack(values, kind):
    if kind == "<f4":
        return struct.pack("<%df" % len(values), *values)
    if kind == "<f2":
        return struct.pack("<%de" % len(values), *values)
    if kind == "<u2":
        return struct.pack("<%dH" % len(values), *map(bf16, values))
    if kind == "<u4":
        return struct.pack("<%dI" % len(values), *values)
    raise ValueError(kind)


def write_rows(path, rows, descr="<f4"):
    """`rows` is a list of lists of numbers."""
    return write(path, descr, (len(rows), len(rows[0])), b"".join(pack(r, descr) for r in rows))


def write_vector(path, values, descr="<f4"):
    return write(path, descr, (len(values),), pack(values, descr))


def read_i32(path):
    """The rows of an int32 file."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    at = 10 + struct.unpack("<H", data[8:10])[0]
    assert at % 64 == 0, "NumPy aligns the elements"
    fields = eval(data[10:at].decode("latin1"), {"__builtins__": {}})
    assert fields["descr"] == "<i4" and fields["fortran_order"] is False, fields
    rows, columns = fields["shape"]
    values = struct.unpack("<%di" % (rows * columns), data[at:])
    return [list(values[r * columns : (r + 1) * columns]) for r in range(rows)]


def log_softmax(values):
    best = max(values)
    total = math.fsum(math.exp(v - best) for v in values)
    return [v - best - math.log(total) for v in values]
