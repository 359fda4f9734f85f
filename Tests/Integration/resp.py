"""A strict RESP2/RESP3 reader for tests: keeps the exact bytes of every reply beside its decoded value.

Sources: https://redis.io/docs/latest/develop/reference/protocol-spec/ and, for what a server accepts, networking.c of Redis 7.0.
"""

from __future__ import annotations

import socket
import time


class NeedMore(Exception):
    """The buffer ends inside a frame, which goes on at least to position `end`."""

    def __init__(self, end: int):
        super().__init__(end)
        self.end = end


class Malformed(AssertionError):
    """The peer sent something that is not RESP. A failure of the peer, hence an assertion."""


class ErrorReply(str):
    """The text of an error reply, without `-` and CRLF."""

    @property
    def code(self) -> str:
        return self.split(" ", 1)[0]


class Frame:
    """One reply: `raw` are its bytes, `kind` its type character, `items` its children (keys and values alternating for maps)."""

    __slots__ = ("raw", "kind", "payload", "items", "attributes")

    def __init__(self, raw: bytes, kind: str, payload, items=None, attributes=None):
        self.raw = raw
        self.kind = kind
        self.payload = payload
        self.items = items
        self.attributes = attributes

    @property
    def value(self):
        """The reply as Python data: bytes, int, float, bool, None, ErrorReply, list, dict (maps with hashable keys)."""
        if self.items is not None:
            children = [item.value for item in self.items]
            if self.kind == "%":
                return dict(zip(map(_hashable, children[::2]), children[1::2]))
            return children
        return self.payload

    @property
    def is_error(self) -> bool:
        return self.kind in "-!"

    @property
    def is_push(self) -> bool:
        return self.kind == ">"

    def __repr__(self) -> str:
        shown = self.raw if len(self.raw) <= 400 else self.raw[:200] + b"...(%d bytes)..." % len(self.raw) + self.raw[-100:]
        return f"Frame({shown!r})"

    def __eq__(self, other) -> bool:
        return isinstance(other, Frame) and self.raw == other.raw

    __hash__ = None


def _hashable(value):
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, dict):
        return tuple((key, _hashable(item)) for key, item in value.items())
    return value


def parse(buffer, position: int = 0) -> tuple[Frame, int]:
    """Reads one frame of `buffer` from `position`; returns it and the position after it. Raises NeedMore or Malformed."""
    start = position
    attributes = None
    end = buffer.find(b"\r\n", position)
    if end < 0:
        if len(buffer) > position and chr(buffer[position]) not in "+-:$*_,#!=(%~>|":
            raise Malformed(f"unknown type byte in {bytes(buffer[position:position + 80])!r}")
        if len(buffer) - position > 1 << 16:
            raise Malformed(f"a line of over 64 KiB: {bytes(buffer[position:position + 80])!r}")
        raise NeedMore(len(buffer) + 1)
    kind = chr(buffer[position])
    line = bytes(buffer[position + 1:end])
    position = end + 2
    if b"\n" in line or b"\r" in line:
        raise Malformed(f"a bare CR or LF in {line!r}")
    if kind == "|":
        pairs = []
        for _ in range(2 * _integer(line)):
            item, position = parse(buffer, position)
            pairs.append(item)
        frame, position = parse(buffer, position)
        return Frame(bytes(buffer[start:position]), frame.kind, frame.payload, frame.items, pairs), position
    if kind == "+":
        value = line
    elif kind == "-":
        value = ErrorReply(line.decode("utf-8", "backslashreplace"))
    elif kind == ":":
        value = _integer(line)
    elif kind in "$=!":
        length = _integer(line)
        if length == -1 and kind == "$":
            value = None
        else:
            if length < 0:
                raise Malformed(f"negative length in {kind}{line!r}")
            if len(buffer) < position + length + 2:
                raise NeedMore(position + length + 2)
            body = bytes(buffer[position:position + length])
            if bytes(buffer[position + length:position + length + 2]) != b"\r\n":
                raise Malformed(f"no CRLF after a bulk of {length} bytes: {bytes(buffer[start:start + 80])!r}")
            position += length + 2
            value = body if kind != "!" else ErrorReply(body.decode("utf-8", "backslashreplace"))
    elif kind in "*%~>":
        count = _integer(line)
        if count == -1 and kind == "*":
            return Frame(bytes(buffer[start:position]), kind, None), position
        if count < 0:
            raise Malformed(f"negative count in {kind}{line!r}")
        items = []
        for _ in range(count * 2 if kind == "%" else count):
            item, position = parse(buffer, position)
            items.append(item)
        return Frame(bytes(buffer[start:position]), kind, None, items, attributes), position
    elif kind == "_":
        if line:
            raise Malformed(f"a null with text {line!r}")
        value = None
    elif kind == ",":
        value = float(line)
    elif kind == "#":
        if line not in (b"t", b"f"):
            raise Malformed(f"a boolean {line!r}")
        value = line == b"t"
    elif kind == "(":
        value = int(line)
    else:
        raise Malformed(f"unknown type byte in {bytes(buffer[start:start + 80])!r}")
    return Frame(bytes(buffer[start:position]), kind, value), position


def _integer(line: bytes) -> int:
    try:
        return int(line)
    except ValueError:
        raise Malformed(f"not an integer: {line!r}") from None


def encode(*words) -> bytes:
    """A command as a RESP array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, str):
            word = word.encode()
        elif isinstance(word, (int, float)):
            word = str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


class Closed(AssertionError):
    """The peer closed the connection although a reply was awaited."""


class Raw:
    """A client connection that speaks bytes. Every wait has a time limit; a missed one raises TimeoutError."""

    def __init__(self, port: int | str, host: str = "127.0.0.1", proto: int = 2, timeout: float = 5.0,
                 receive_buffer: int | None = None, password: str | None = None, user: str | None = None):
        self.timeout = timeout
        self.proto = 2
        self.buffer = bytearray()
        self.position = 0
        self.pushes: list[Frame] = []
        if isinstance(port, str):
            self.socket = socket.socket(socket.AF_UNIX)
            address = port
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            address = (host, port)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
        except BaseException:
            self.socket.close()
            raise
        if password is not None:
            self.ok("AUTH", *([user] if user else []), password)
        if proto == 3:
            self.hello3()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset_connection(self) -> None:
        """Closes with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()

    def hello3(self) -> Frame:
        frame = self.call("HELLO", "3")
        if frame.is_error:
            raise AssertionError(f"HELLO 3 answered {frame.raw!r}")
        self.proto = 3
        return frame

    @property
    def local_address(self) -> str:
        host, port = self.socket.getsockname()[:2]
        return f"{host}:{port}"

    def send_bytes(self, data: bytes, timeout: float | None = None) -> None:
        self.socket.settimeout(self.timeout if timeout is None else timeout)
        self.socket.sendall(data)

    def send(self, *words) -> None:
        self.send_bytes(encode(*words))

    def read(self, timeout: float | None = None) -> Frame:
        """The next frame, pushes included."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            try:
                frame, self.position = parse(self.buffer, self.position)
            except NeedMore as need:
                self._fill(deadline, need.end)
                continue
            if self.position > 1 << 20 or self.position == len(self.buffer):
                del self.buffer[:self.position]
                self.position = 0
            return frame

    def _fill(self, deadline: float, end: int) -> None:
        while len(self.buffer) < end:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no complete reply in time; received so far: {bytes(self.buffer[self.position:self.position + 200])!r}")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(max(1 << 16, min(end - len(self.buffer), 1 << 20)))
            except socket.timeout:
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed(f"closed by the peer; received before: {bytes(self.buffer[self.position:self.position + 200])!r}")
            self.buffer += data

    def reply(self, timeout: float | None = None) -> Frame:
        """The next frame that is not a push; pushes met on the way are kept in `pushes`."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            frame = self.read(max(0.0, deadline - time.monotonic()))
            if not frame.is_push:
                return frame
            self.pushes.append(frame)

    def replies(self, count: int, timeout: float | None = None) -> list[Frame]:
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        return [self.read(max(0.0, deadline - time.monotonic())) for _ in range(count)]

    def call(self, *words, timeout: float | None = None) -> Frame:
        self.send(*words)
        return self.reply(timeout)

    def value(self, *words, timeout: float | None = None):
        """Sends a command and returns the decoded reply; an error reply fails the test."""
        frame = self.call(*words, timeout=timeout)
        assert not frame.is_error, f"{words!r} answered {frame.raw!r}"
        return frame.value

    def ok(self, *words, timeout: float | None = None) -> None:
        frame = self.call(*words, timeout=timeout)
        assert frame.raw == b"+OK\r\n", f"{words!r} answered {frame!r}"

    def error(self, *words, timeout: float | None = None) -> ErrorReply:
        """Sends a command that has to fail and returns the error's text."""
        frame = self.call(*words, timeout=timeout)
        assert frame.is_error, f"{words!r} should fail and answered {frame!r}"
        return frame.value

    def pending(self) -> bytes:
        return bytes(self.buffer[self.position:])

    def assert_quiet(self, seconds: float = 0.15) -> None:
        """Nothing arrives for that long."""
        assert not self.pending(), f"expected silence, had {self.pending()!r}"
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1 << 16)
        except socket.timeout:
            return
        raise AssertionError(f"expected silence, got {data!r}" if data else "expected silence, the peer closed")

    def read_until_closed(self, timeout: float | None = None) -> bytes:
        """Everything the peer still sends before it closes; a peer that doesn't close raises TimeoutError."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        data = self.pending()
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the peer did not close; it sent {data[:300]!r}")
            self.socket.settimeout(left)
            try:
                more = self.socket.recv(1 << 16)
            except socket.timeout:
                continue
            except ConnectionResetError:
                return data
            if not more:
                return data
            data += more
