#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nano_shm - How long ids take from one process to another and back in nano-vLLM's way.

Its rank 0 pickles a method's name and arguments into a SharedMemory behind 4 bytes of length, and sets
an Event for each worker, which waits for it, unpickles and clears it (nanovllm/engine/model_runner.py:
write_shm, read_shm). Here both sides do so in turn.

  bench/nano_shm.py BYTES ROUNDS     prints the nanoseconds of each round trip, one a line
"""

import ctypes
import multiprocessing
import pickle
import random
import signal
import sys
import time
from multiprocessing.shared_memory import SharedMemory

PR_SET_PDEATHSIG = 1


class Way:
    """One direction."""

    def __init__(self, context, size):
        self.shm = SharedMemory(create=True, size=size)
        self.event = context.Event()

    def write(self, method_name, *args):
        data = pickle.dumps([method_name, *args])
        n = len(data)
        self.shm.buf[0:4] = n.to_bytes(4, "little")
        self.shm.buf[4 : n + 4] = data
        self.event.set()

    def read(self):
        self.event.wait()
        n = int.from_bytes(self.shm.buf[0:4], "little")
        method_name, *args = pickle.loads(self.shm.buf[4 : n + 4])
        self.event.clear()
        return method_name, args

    def end(self):
        self.shm.close()
        self.shm.unlink()


def work(there, back, rounds):
    # An event that is never set is waited for as long as this process lives.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for _ in range(rounds):
        name, args = there.read()
        back.write(name, *args)


def main():
    size, rounds = int(sys.argv[1]), int(sys.argv[2])
    context = multiprocessing.get_context("fork")
    ids = [random.randrange(1 << 17) for _ in range(size // 4)]
    warm_up = rounds // 10 + 1
    there, back = (Way(context, (1 << 20) + 4 * size) for _ in range(2))
    worker = context.Process(target=work, args=(there, back, warm_up + rounds), daemon=True)
    worker.start()
    times = []
    try:
        for _ in range(warm_up + rounds):
            start = time.perf_counter_ns()
            there.write("run", ids)
            back.read()
            times.append(time.perf_counter_ns() - start)
        worker.join()
    finally:
        there.end()
        back.end()
    print("\n".join(map(str, times[warm_up:])))


if __name__ == "__main__":
    main()
