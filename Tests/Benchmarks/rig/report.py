"""Markdown tables and JSON."""

import json
import os
import platform
import statistics


class Results:
    """Runs by (case, proxy), in the order in which they came, and what went wrong."""

    def __init__(self, cases, proxies):
        self.cases, self.proxies = cases, proxies
        self.runs = {}
        self.failures = {}
        self.notes = []

    def add(self, case, proxy, run):
        self.runs.setdefault((case.name, proxy.name), []).append(run)

    def fail(self, case, proxy, reason):
        self.failures.setdefault((case.name, proxy.name), reason)

    def values(self, case, name, field):
        """Nothing for a proxy that failed in any round: half a result would look like a whole one."""
        if (case.name, name) in self.failures:
            return []
        return [getattr(run, field) for run in self.runs.get((case.name, name), [])]

    def median(self, case, name, field):
        values = self.values(case, name, field)
        return statistics.median(values) if values else None


def digits(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def spread(values):
    if not values:
        return "-"
    middle = digits(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({digits(min(values))}..{digits(max(values))})"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(["---"] + ["---:"] * (len(header) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def cell(results, case, name, text):
    return "failed" if (case.name, name) in results.failures else text


def ratio(results, case, name, peers):
    """Our CPU divided by that of the cheapest peer: below 1 we are cheaper."""
    own = results.median(case, name, "cpu_us")
    best = min(((value, peer) for peer in peers if (value := results.median(case, peer, "cpu_us")) is not None), default=None)
    if own is None or best is None:
        return "-"
    return f"{own / best[0]:.2f} ({best[1]})"


def markdown(results, own_names):
    """`own_names` are the builds of switchyard: each is compared with the best of the others' proxies."""
    names = [proxy.name for proxy in results.proxies]
    own = [name for name in names if name in own_names]
    peers = [name for name in names if name not in own_names]
    done = [case for case in results.cases if any(key[0] == case.name for key in [*results.runs, *results.failures])]
    ratios = own if peers else []
    parts = ["## CPU microseconds of the proxy per request: median (lowest..highest round)", table(
        ["case", *names, *(f"{name} / best peer" for name in ratios)],
        [[case.title, *(cell(results, case, name, spread(results.values(case, name, "cpu_us"))) for name in names),
          *(ratio(results, case, name, peers) for name in ratios)] for case in done])]

    def plain(title, render):
        return [title, table(["case", *names], [[case.title, *(cell(results, case, name, render(case, name)) for name in names)] for case in done])]

    def one(field, form):
        def render(case, name):
            value = results.median(case, name, field)
            return "-" if value is None else form(value)
        return render

    def latency(case, name):
        p50, p99 = results.median(case, name, "p50_ms"), results.median(case, name, "p99_ms")
        return "-" if p50 is None else f"{digits(p50)} / {digits(p99)}"

    parts += plain("## For information: requests per second (median)", one("requests_per_second", lambda value: f"{value:,.0f}"))
    parts += plain("## For information: p50 / p99 in ms, seen by the load generator (median)", latency)
    parts += plain("## For information: CPU microseconds of the three servers together per request (median)", one("server_cpu_us", digits))
    notes = list(results.notes)
    for (case_name, name), reason in results.failures.items():
        notes.append(f"{name} failed in {case_name}: {reason}")
    for name in own:
        shares = [share for case in done if case.kind != "set" for share in results.values(case, name, "replica_share")]
        if shares:
            notes.append(f"{name} sent {min(shares):.0%} to {max(shares):.0%} of the reads of a run to the replicas; the other proxies know only the master")
    disturbed = [run for runs in results.runs.values() for run in runs if run.foreign_share > 0.1]
    total = sum(map(len, results.runs.values()))
    if disturbed:
        worst = max(run.foreign_share for run in disturbed)
        notes.append(f"**disturbed**: in {len(disturbed)} of {total} runs other processes took more than 10 % of the machine's CPU (up to {worst:.0%}); "
                     "run it again on a quiet machine before believing a difference")
    if notes:
        parts += ["## Notes", "\n".join(f"- {text}" for text in notes)]
    return "\n\n".join(parts) + "\n"


def machine():
    model = "unknown"
    with open("/proc/cpuinfo") as text:
        for line in text:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo") as text:
        memory = int(text.readline().split()[1]) // 1024
    return {"cpu": model, "cpus": os.cpu_count(), "memory_mib": memory, "kernel": platform.release(), "load_average": os.getloadavg()[0]}


def as_json(results, head):
    cases = []
    for case in results.cases:
        proxies = {}
        for proxy in results.proxies:
            key = (case.name, proxy.name)
            if key in results.failures:
                proxies[proxy.name] = {"failed": results.failures[key]}
            elif key in results.runs:
                values = results.values(case, proxy.name, "cpu_us")
                proxies[proxy.name] = {
                    "cpu_us": {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4)},
                    "rounds": [run.rounded() for run in results.runs[key]],
                }
        if proxies:
            cases.append({"name": case.name, "clients": case.clients, "pipeline": case.pipeline, "size": case.size, "proxies": proxies})
    return {**head, "notes": results.notes, "cases": cases}


def save(path, document):
    """Written beside and renamed, so that a reader never finds half a file."""
    with open(path + ".part", "w") as file:
        json.dump(document, file, indent=2)
        file.write("\n")
    os.replace(path + ".part", path)
