"""What is measured: the matrix of cases, and how many requests each one takes."""

import fnmatch
from dataclasses import dataclass

from .processes import Trouble

SIZES = {"64b": 64, "4k": 4096, "64k": 65536}
QUICK = ["get-c1-p1-64b", "get-c50-p1-64b", "set-c50-p1-64b", "mixed-c50-p1-64b", "get-c50-p16-64b", "set-c50-p16-64b",
         "get-c1000-p1-64b", "get-c50-p1-64k"]

# What may be in flight at once. A case above it says more about buffers than about CPU, and with it the machine's memory
# is at stake: 64 KiB x 16 x 1,000 clients is 1 GiB on its own, and every hop may hold a copy.
IN_FLIGHT_LIMIT = 256 << 20

# Requests per second to start calibrating from: rough figures of one thread behind a proxy on two slow cores, by
# (one client or several, pipeline, size). Only the length of the warm-up depends on them.
FIRST_GUESS = {
    (True, 1, "64b"): 5000, (True, 1, "4k"): 5000, (True, 1, "64k"): 2500,
    (True, 16, "64b"): 50000, (True, 16, "4k"): 25000, (True, 16, "64k"): 5000,
    (False, 1, "64b"): 30000, (False, 1, "4k"): 25000, (False, 1, "64k"): 8000,
    (False, 16, "64b"): 200000, (False, 16, "4k"): 60000, (False, 16, "64k"): 8000,
}
REQUEST_LIMIT = 5_000_000


@dataclass(frozen=True)
class Case:
    kind: str  # get, set, or mixed: one SET to nine GETs
    clients: int
    pipeline: int
    size_name: str

    @property
    def name(self):
        return f"{self.kind}-c{self.clients}-p{self.pipeline}-{self.size_name}"

    @property
    def size(self):
        return SIZES[self.size_name]

    @property
    def title(self):
        kind = {"get": "GET", "set": "SET", "mixed": "1 SET : 9 GET"}[self.kind]
        clients = "1 client" if self.clients == 1 else f"{self.clients:,} clients"
        pipeline = f", pipeline {self.pipeline}" if self.pipeline > 1 else ""
        size = {"64b": "64 B", "4k": "4 KiB", "64k": "64 KiB"}[self.size_name]
        return f"{kind}, {clients}{pipeline}, {size}"

    @property
    def in_flight(self):
        return self.clients * self.pipeline * self.size

    @property
    def writes_per_thousand(self):
        return {"get": 0, "set": 1000, "mixed": 100}[self.kind]

    def requests_for(self, rate, seconds):
        """A multiple of a full round of all clients, so that everyone has the same share; at least two rounds."""
        round_size = self.clients * self.pipeline
        wanted = min(int(rate * seconds), REQUEST_LIMIT)
        return max(2, -(-wanted // round_size)) * round_size

    def warm_up_requests(self, seconds):
        return self.requests_for(FIRST_GUESS[(self.clients == 1, self.pipeline, self.size_name)], seconds / 5)


def all_cases():
    cases = [Case(kind, clients, pipeline, size)
             for size in SIZES for pipeline in (1, 16) for clients in (1, 50, 1000) for kind in ("get", "set")]
    return cases + [Case("mixed", 50, 1, "64b"), Case("mixed", 50, 16, "64b"), Case("mixed", 50, 1, "4k")]


def chosen(globs, quick, huge):
    """The cases to run, and notes about those that are left out."""
    cases = all_cases()
    if quick:
        cases = [case for case in cases if case.name in QUICK]
    if globs:
        patterns = globs.split(",")
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(case.name, pattern) for case in cases):
                raise Trouble(f"no case is named {pattern}; --list shows the names")
        cases = [case for case in cases if any(fnmatch.fnmatchcase(case.name, pattern) for pattern in patterns)]
    notes = []
    if not huge:
        left_out = [case.name for case in cases if case.in_flight > IN_FLIGHT_LIMIT]
        cases = [case for case in cases if case.in_flight <= IN_FLIGHT_LIMIT]
        if left_out:
            notes.append(f"left out, because more than {IN_FLIGHT_LIMIT >> 20} MiB would be in flight (--huge runs them): {', '.join(left_out)}")
    if not cases:
        raise Trouble("no case is left to run")
    return cases, notes
