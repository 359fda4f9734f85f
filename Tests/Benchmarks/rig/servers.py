"""One redis-server master and two replicas on loopback, without persistence."""

import os
import time

from .processes import Child, Trouble, free_port, wait_until
from .resp import Connection

CONFIGURATION = """\
port {port}
bind 127.0.0.1
dir {folder}
save ""
appendonly no
daemonize no
loglevel warning
protected-mode no
maxclients {clients}
tcp-backlog 4096
repl-diskless-sync yes
repl-diskless-sync-delay 0
repl-backlog-size 64mb
# A replica that falls behind during a burst of SETs must catch up, not be cut off and start anew.
client-output-buffer-limit replica 0 0 0
"""


def key_name(number):
    """As redis-benchmark -r writes them."""
    return b"key:%012d" % number


def value_of(number, size):
    """A value begins with its key and goes on with a pattern: load.c checks it byte by byte."""
    key = key_name(number)
    pattern = bytes(range(97, 97 + 23)) * (size // 23 + 1)
    return key + pattern[len(key):size]


class Servers:
    """The master comes first. `close` ends all three."""

    def __init__(self, folder, binary, file_limit, cpus=None):
        self.children, self.ports, self.connections = [], [], []
        try:
            for name in ("master", "replica1", "replica2"):
                self.start(name, folder, binary, file_limit, cpus)
            self.wait_for_replicas()
        except BaseException:
            self.close()
            raise

    @property
    def master(self):
        return self.ports[0]

    @property
    def replicas(self):
        return self.ports[1:]

    def start(self, name, folder, binary, file_limit, cpus):
        port = free_port()
        home = os.path.join(folder, name)
        os.mkdir(home)
        path = os.path.join(home, "redis.conf")
        with open(path, "w") as text:
            text.write(CONFIGURATION.format(port=port, folder=home, clients=max(1000, file_limit - 200)))
            if self.ports:
                text.write(f"replicaof 127.0.0.1 {self.master}\n")
        child = Child(name, [binary, path], os.path.join(home, "log"), cpus)
        self.children.append(child)
        wait_until(lambda: child.owns_listener(port), 10, f"{name} listens on its port", child)
        self.ports.append(port)
        self.connections.append(Connection(port, timeout=30))

    def wait_for_replicas(self):
        def linked():
            return all(self.info(i, "replication").get("master_link_status") == "up" for i in (1, 2))
        wait_until(linked, 20, "both replicas are linked to the master")

    def close(self):
        for connection in self.connections:
            connection.close()
        for child in self.children:
            child.stop()

    def info(self, index, section):
        lines = self.connections[index].command("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def fill(self, keys, size):
        """Writes the keys to the master, waits for both replicas, and checks the sizes on all three nodes."""
        master = self.connections[0]
        master.command("FLUSHALL")
        for number in range(keys):
            master.command("SET", key_name(number), value_of(number, size))
        if master.command("WAIT", 2, 10000) != 2:
            raise Trouble("the replicas were not in sync after filling the keys")
        for index, connection in enumerate(self.connections):
            lengths = connection.pipeline([("STRLEN", key_name(number)) for number in range(keys)])
            if set(lengths) != {size}:
                raise Trouble(f"{self.children[index].name} has values of {sorted(set(lengths))} bytes instead of {size}")

    def check_sizes(self, keys, size):
        lengths = self.connections[0].pipeline([("STRLEN", key_name(number)) for number in range(keys)])
        if set(lengths) != {size}:
            raise Trouble(f"afterwards the master had values of {sorted(set(lengths))} bytes instead of {size}")

    def wait_for_sync(self, seconds=30):
        """Until both replicas have *applied* what the master has: WAIT alone counts bytes received."""
        wanted = int(self.info(0, "replication")["master_repl_offset"])
        def applied():
            return all(int(self.info(i, "replication").get("slave_repl_offset", -1)) >= wanted for i in (1, 2))
        wait_until(applied, seconds, "the replicas have applied everything")

    def full_syncs(self):
        return int(self.info(0, "stats")["sync_full"])

    def reset_counts(self):
        for connection in self.connections:
            connection.command("CONFIG", "RESETSTAT")

    def calls(self):
        """For GET and SET: the calls on each node, and the number of calls that failed anywhere."""
        counts = {"get": [0, 0, 0], "set": [0, 0, 0], "failed": 0}
        for index in range(3):
            stats = self.info(index, "commandstats")
            for command in ("get", "set"):
                row = stats.get(f"cmdstat_{command}")
                if not row:
                    continue
                fields = dict(field.split("=") for field in row.split(","))
                counts[command][index] = int(fields["calls"])
                counts["failed"] += int(fields["rejected_calls"]) + int(fields["failed_calls"])
        return counts

    def cpu_ns(self):
        return sum(child.cpu_ns() for child in self.children)

    def settle(self):
        self.wait_for_sync()
        time.sleep(0.05)
