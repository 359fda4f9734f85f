"""One run: a load through a proxy, and what it cost. The checks that keep the figure honest are here too."""

import csv
import json
import os
import resource
import selectors
import subprocess
import time
from dataclasses import asdict, dataclass

from .processes import Trouble, cpu_ns, machine_busy_ns, prepare_child, tick_ns, wait_until_idle


@dataclass
class Run:
    cpu_us: float  # of the proxy, per request
    user_share: float  # of that CPU, from 10 ms ticks: a rough figure
    server_cpu_us: float  # of the three servers together, per request
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    replica_share: float  # of the GETs that reached a server
    foreign_share: float  # of the machine's CPU that went to processes that are not ours
    requests: int

    def rounded(self):
        return {name: round(value, 4) for name, value in asdict(self).items()}


class Stopwatch:
    """CPU of the proxy, the servers and the machine, between `start` and `stop`."""

    def __init__(self, proxy, servers, others):
        self.proxy, self.servers, self.others = proxy, servers, others

    def snapshot(self):
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = self.servers.cpu_ns() + self.proxy.child.cpu_ns() + time.process_time_ns()
        ours += sum(other.child.cpu_ns() for other in self.others if other.child and other.child.running())
        ours += int((usage.ru_utime + usage.ru_stime) * 1e9)
        return {"proxy": self.proxy.child.cpu_ns(), "servers": self.servers.cpu_ns(), "ours": ours, "machine": machine_busy_ns(),
                "time": time.monotonic_ns(), "ticks": tick_ns(self.proxy.child.pid)}

    def start(self):
        self.before = self.snapshot()

    def stop(self):
        after = self.snapshot()
        self.proxy_ns = after["proxy"] - self.before["proxy"]
        self.server_ns = after["servers"] - self.before["servers"]
        capacity = (after["time"] - self.before["time"]) * os.cpu_count()
        foreign = (after["machine"] - self.before["machine"]) - (after["ours"] - self.before["ours"])
        self.foreign_share = max(0.0, foreign / capacity)
        user, system = (now - then for now, then in zip(after["ticks"], self.before["ticks"]))
        self.user_share = user / (user + system) if user + system else 0.0


class RedisBenchmark:
    """redis-benchmark connects and closes inside the measured time, so its figures contain that too."""

    name = "redis-benchmark"

    def __init__(self, binary, keys, cpus):
        self.binary, self.keys, self.cpus = binary, keys, cpus

    def run(self, case, port, requests, timeout, stopwatch, settle):
        command = [self.binary, "-h", "127.0.0.1", "-p", str(port), "-t", case.kind, "-n", str(requests), "-c", str(case.clients),
                   "-P", str(case.pipeline), "-d", str(case.size), "-r", str(self.keys), "--csv"]
        stopwatch.start()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True, preexec_fn=prepare_child(self.cpus))
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Trouble(f"redis-benchmark was not done after {timeout:g} s")
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        settle()
        stopwatch.stop()
        if process.returncode:
            raise Trouble(f"redis-benchmark ended with status {process.returncode}: {last_line(errors or output)}")
        rows = list(csv.DictReader(line for line in output.splitlines() if line.startswith('"')))
        if len(rows) != 1 or rows[0]["test"].lower() != case.kind:
            raise Trouble(f"redis-benchmark said something else than one row: {last_line(output)}")
        row = rows[0]
        return float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"]), None


class CheckingLoad:
    """load.c: it checks each reply, and connects before and closes after the measured time."""

    name = "load"

    def __init__(self, binary, keys, cpus, seed):
        self.binary, self.keys, self.cpus, self.seed = binary, keys, cpus, seed

    def run(self, case, port, requests, timeout, stopwatch, settle):
        arguments = [port, case.clients, case.pipeline, requests, case.size, case.writes_per_thousand, self.keys, self.seed]
        process = subprocess.Popen([self.binary, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True, preexec_fn=prepare_child(self.cpus))
        try:
            deadline = time.monotonic() + timeout
            self.line(process, deadline)
            settle()
            generator_before = cpu_ns(process.pid)
            stopwatch.start()
            process.stdin.write(b"go\n")
            process.stdin.flush()
            result = json.loads(self.line(process, deadline))
            generator_ns = cpu_ns(process.pid) - generator_before
            stopwatch.stop()
        finally:
            if process.poll() is None:
                try:
                    process.stdin.close()
                    process.wait(5)
                except (OSError, subprocess.TimeoutExpired):
                    process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        settle()
        # The generator is not reaped yet when the stopwatch stops: its CPU is still missing from "ours".
        stopwatch.foreign_share = max(0.0, stopwatch.foreign_share - generator_ns / (result["seconds"] * 1e9 * os.cpu_count()))
        return requests / result["seconds"], result["p50_us"] / 1000, result["p99_us"] / 1000, result["sets"]

    def line(self, process, deadline):
        """One line of its output; it writes a line at a time, so one read is one line."""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise Trouble("load was not done in time")
        line = os.read(process.stdout.fileno(), 4096)
        if not line:
            process.wait(5)
            raise Trouble(last_line(process.stderr.read().decode(errors="replace")) or "load ended without a word")
        return line


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def measure(case, proxy, servers, generator, requests, timeout, keys, others):
    """One run. Raises `Trouble` when the run does not mean what its name says."""
    proxy.child.must_run()
    if not proxy.child.owns_listener(proxy.port):
        raise Trouble(f"port {proxy.port} does not belong to the {proxy.name} that was started")
    servers.settle()
    servers.reset_counts()
    syncs = servers.full_syncs()
    stopwatch = Stopwatch(proxy, servers, others)
    rate, p50, p99, sets = generator.run(case, proxy.port, requests, timeout, stopwatch, lambda: wait_until_idle(proxy.child.pid, 0.5))
    proxy.child.must_run()
    servers.wait_for_sync()
    if servers.full_syncs() != syncs:
        raise Trouble("a replica lost its link and was filled anew during the run")
    replica_share = check_calls(case, servers, requests, sets)
    if case.kind != "get":
        servers.check_sizes(keys, case.size)
    return Run(cpu_us=stopwatch.proxy_ns / requests / 1000, user_share=stopwatch.user_share,
               server_cpu_us=stopwatch.server_ns / requests / 1000, requests_per_second=rate, p50_ms=p50, p99_ms=p99,
               replica_share=replica_share, foreign_share=stopwatch.foreign_share, requests=requests)


def check_calls(case, servers, requests, sets):
    """The servers must have run what the load asked for: an error reply is a fast reply, and redis-benchmark counts it."""
    calls = servers.calls()
    if calls["failed"]:
        raise Trouble(f"{calls['failed']} calls failed on the servers")
    wanted_sets = {"get": 0, "set": requests, "mixed": sets}[case.kind]
    if calls["set"][0] != wanted_sets:
        raise Trouble(f"the master ran {calls['set'][0]} SETs instead of {wanted_sets}")
    gets = sum(calls["get"])
    if gets < requests - wanted_sets:
        raise Trouble(f"the servers ran {gets} GETs instead of {requests - wanted_sets}")
    return sum(calls["get"][1:]) / gets if gets else 0.0
