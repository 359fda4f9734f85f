"""Child processes that end when the script does, and what the kernel knows about them."""

import ctypes
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class Trouble(Exception):
    """Something that the reader of the results must know: said in one line, without a trace."""


def note(text):
    print(text, file=sys.stderr, flush=True)


def end_on_signals():
    """SIGTERM and SIGHUP unwind like Ctrl-C does, so that the children are ended.

    SIGINT is set too: a shell starts its background jobs with SIGINT ignored, and Python would leave it so.
    """
    def leave(number, _):
        raise SystemExit(128 + number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)


def raise_file_limit():
    """Lifts the soft limit of open files to the hard one, for us and for the children, and returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port():
    """A port below the ephemeral range, so that no outgoing connection takes it before its server does."""
    for _ in range(200):
        port = random.randint(12000, 31999)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Trouble("no free port between 12000 and 31999")


def prepare_child(cpus):
    """Runs in the child: a session of its own, death with its parent, and the CPUs it may use."""
    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if cpus:
            os.sched_setaffinity(0, cpus)
    return prepare


class Child:
    """One process that we started. Its id stays ours until `stop` has reaped it, so a signal cannot hit another."""

    def __init__(self, name, command, log, cpus=None):
        self.name, self.log, self.command = name, log, command
        with open(log, "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                                            preexec_fn=prepare_child(cpus))
        self.pid = self.process.pid

    def running(self):
        return self.process.poll() is None

    def stop(self):
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def log_tail(self):
        try:
            with open(self.log, errors="replace") as text:
                lines = [line.strip() for line in text if line.strip()]
        except OSError:
            return ""
        return " / ".join(lines[-3:])[-400:]

    def must_run(self):
        if not self.running():
            raise Trouble(f"{self.name} ended with status {self.process.returncode}: {self.log_tail() or 'it said nothing'}")

    def cpu_ns(self):
        return cpu_ns(self.pid)

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise Trouble(f"{self.name} has no VmRSS")

    def owns_listener(self, port):
        return bool(listening_inodes(port) & socket_inodes(self.pid))


def cpu_ns(pid):
    """User and system time of all threads of a process, ended ones included, in nanoseconds.

    This is the clock that clock_getcpuclockid(3) would return: the same count as the sum over /proc/PID/task/*/schedstat,
    but brought up to date for threads that run at this moment, and without losing the threads that ended.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def schedstat_ns(pid):
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as text:
            total += int(text.read().split()[0])
    return total


def tick_ns(pid):
    """(user, system) as /proc/PID/stat has them, in ticks of 10 ms."""
    with open(f"/proc/{pid}/stat") as text:
        fields = text.read().rsplit(")", 1)[1].split()
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return int(fields[11]) * tick, int(fields[12]) * tick


def machine_busy_ns():
    """Time that all CPUs together spent on anything, from /proc/stat, stolen time included."""
    with open("/proc/stat") as text:
        user, nice, system, _, _, irq, softirq, steal = map(int, text.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def listening_inodes(port):
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as text:
                rows = text.readlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(fields[9])
    return found


def socket_inodes(pid):
    found = set()
    try:
        for descriptor in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        pass
    return found


def wait_until(condition, seconds, what, child=None):
    """Polls `condition` until it is true; gives up after `seconds`, or at once when `child` has ended."""
    deadline = time.monotonic() + seconds
    while True:
        if child:
            child.must_run()
        try:
            if condition():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise Trouble(f"waited {seconds:g} s in vain: {what}" + (f" ({child.log_tail()})" if child and child.log_tail() else ""))
        time.sleep(0.02)


def wait_until_idle(pid, seconds=2.0):
    """Returns once the process uses less than half a millisecond of CPU in 20 ms: closing many connections takes a moment."""
    deadline = time.monotonic() + seconds
    before = cpu_ns(pid)
    while time.monotonic() < deadline:
        time.sleep(0.02)
        now = cpu_ns(pid)
        if now - before < 500_000:
            return
        before = now
