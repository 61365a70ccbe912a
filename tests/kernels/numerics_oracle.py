#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare kernels/numerics.h and kernels/philox.h with mpmath and plain Python.

    numerics_oracle.py check PROGRAM [COUNT]   PROGRAM is numerics_dump
    numerics_oracle.py constants               what numerics.h must contain, a number a line

Exit status 77: mpmath is not installed.
"""
import os
import pathlib
import re
import struct
import subprocess
import sys

try:
    from mpmath import mp, mpf
except ImportError:
    print("skipped: mpmath is not installed")
    sys.exit(77)

mp.prec = 200  # 60 digits

# Largest error allowed, in units in the last place. numerics.h states the same.
LIMITS = {"exp2": 0.55, "exp2 subnormal": 0.8, "log": 1.0, "log2": 1.0, "log1p": 1.0,
          "exponential": 1.75}


def constants():
    """Coefficients are near-minimax: Chebyshev interpolation on the reduced range."""
    def exp2_part(r):
        return mp.expm1(r * mp.log(2)) / r if r else mp.log(2)

    def log_part(z):
        if z < mpf(2) ** -60:
            return mpf(2) / 3
        s = mp.sqrt(z)
        return (mp.log((1 + s) / (1 - s)) - 2 * s) / (s * z)

    def split(value, bits):
        with mp.workprec(bits):
            high = +value
        return [float(high), float(value - high)]

    largest_s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)
    exp2 = mp.chebyfit(exp2_part, [-mpf(1) / 64, mpf(1) / 64], 6)
    log = mp.chebyfit(log_part, [0, largest_s ** 2], 7)
    numbers = [float(c) for c in reversed(exp2)] + [float(c) for c in reversed(log)]
    numbers += split(mp.log(2), 38) + split(1 / mp.log(2), 32)
    for j in range(32):
        numbers += split(mpf(2) ** (mpf(j) / 32), 53)
    return numbers


def check_constants():
    header = pathlib.Path(__file__).parents[2] / "kernels" / "numerics.h"
    literals = re.findall(r"-?0x[01]\.[0-9a-f]+p[+-]\d+", header.read_text())
    present = {float.fromhex(literal) for literal in literals}
    missing = [number.hex() for number in constants() if number not in present]
    print(f"constants: {len(constants())}, missing in numerics.h: {missing}")
    return not missing


def double(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def exact(name, bits):
    """The result as it should be; None where it is no real number."""
    if name == "exponential":
        return -mp.log1p(-(mpf(bits) + 0.5) / mpf(2) ** 64)
    x = double(bits)
    if name == "exp2":
        return mpf(2) ** x if abs(x) < 1e9 else None
    if x != x or x == float("inf") or x <= (-1 if name == "log1p" else 0):
        return None
    if name == "log1p":
        return mp.log1p(x)
    return mp.log(x) if name == "log" else mp.log(x) / mp.log(2)


def special(name, bits):
    """The result where exact() has none."""
    x = double(bits)
    if name == "exp2":
        return 0.0 if x < 0 else float("inf")
    return x if x > 0 else float("-inf")


def ulp(value):
    """Distance between the doubles around a real number."""
    return mpf(2) ** max(mp.frexp(value)[1] - 53, -1074)


def error(name, bits, result):
    value = exact(name, bits)
    if value is None:
        return 0.0 if result == special(name, bits) else float("inf")
    if value >= mpf(2) ** 1024:
        return 0.0 if result == float("inf") else float("inf")
    if abs(result) == float("inf") or result != result:
        return float("inf")
    return float(abs(mpf(result) - value) / ulp(value)) if value or result else 0.0


def check_functions(rows):
    worst = {}
    counts = dict.fromkeys(LIMITS, 0)
    for name, argument, result in rows:
        bits, value = int(argument, 16), double(int(result, 16))
        kind = "exp2 subnormal" if name == "exp2" and value < 2.0 ** -1022 else name
        counts[kind] += 1
        worst[kind] = max(worst.get(kind, (-1.0, 0)), (error(name, bits, value), bits))
    passed = True
    for kind, limit in LIMITS.items():
        largest, bits = worst[kind]
        at = f"bits {bits:#x}" if kind == "exponential" else double(bits).hex()
        print(f"{kind}: {counts[kind]} arguments, largest error {largest:.4f} ulp at {at}, "
              f"limit {limit}")
        passed = passed and largest <= limit
    return passed


def philox(key, counter):
    """Philox4x32-10 as the paper has it: ten rounds, the key bumped between them."""
    for i in range(10):
        k = [(key[0] + i * 0x9E3779B9) % 2**32, (key[1] + i * 0xBB67AE85) % 2**32]
        high0, low0 = divmod(0xD2511F53 * counter[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * counter[2], 2**32)
        counter = [high1 ^ counter[1] ^ k[0], low1, high0 ^ counter[3] ^ k[1], low0]
    return counter


def check_philox(rows):
    different = 0
    for row in rows:
        key, index, position, stream, *words = [int(word, 16) for word in row]
        counter = [index, position % 2**32, position >> 32, stream]
        different += philox([key % 2**32, key >> 32], counter) != words
    print(f"philox: {len(rows)} counters, {different} differ")
    return bool(rows) and different == 0


def check(program, count):
    seed = os.environ.get("RZ_TEST_SEED", "1")
    print(f"RZ_TEST_SEED={seed}")
    dump = subprocess.run([program, str(count), seed], check=True, capture_output=True, text=True)
    rows = [line.split() for line in dump.stdout.splitlines()]
    results = [check_constants(),
               check_functions([row for row in rows if row[0] != "philox"]),
               check_philox([row[1:] for row in rows if row[0] == "philox"])]
    return all(results)


if __name__ == "__main__":
    if sys.argv[1:] == ["constants"]:
        print("\n".join(number.hex() for number in constants()))
    elif len(sys.argv) in (3, 4) and sys.argv[1] == "check":
        passed = check(sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 20000)
        sys.exit(0 if passed else 1)
    else:
        sys.exit(__doc__)
