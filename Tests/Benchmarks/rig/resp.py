"""A blocking RESP2 client, as small as the benchmarks need it."""

import socket


class ReplyError(OSError):
    """An error reply. It is an OSError, so that whoever expects trouble with a node catches both kinds at once."""


class Connection:
    def __init__(self, port, timeout=5.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.socket.makefile("rb", 65536)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.input.close()
        self.socket.close()

    def send(self, *arguments):
        self.socket.sendall(encode(arguments))

    def receive(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the connection was closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise ReplyError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            if length < 0:
                return None
            body = self.input.read(length + 2)
            if len(body) != length + 2:
                raise OSError("the connection was closed")
            return body[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [self.receive() for _ in range(int(rest))]
        raise OSError(f"not a reply: {line!r}")

    def command(self, *arguments):
        self.send(*arguments)
        return self.receive()

    def pipeline(self, commands):
        """Sends a handful of commands at once; the caller keeps the replies small or the commands few."""
        self.socket.sendall(b"".join(map(encode, commands)))
        return [self.receive() for _ in commands]


def encode(arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in arguments:
        data = argument if isinstance(argument, bytes) else str(argument).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
