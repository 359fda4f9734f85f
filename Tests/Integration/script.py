r"""Command scripts: what clients say, run against any endpoint, with every reply's exact bytes recorded.

A file under `scripts/` holds scripts in this form; `#` starts a comment line.

    == name of the script [resp2|resp3 admin unsettled]     unsettled: replicas need not catch up
    SET key "va\r\nlue"            a command on connection `a`; words as redis-cli splits them
    b> GET key                     the same on connection `b`, opened at first use
    TTL key              ~ near 2  the reply may differ by 2
    CLIENT ID            => $id    remembers the reply; $id stands for it in later words, and in replies with `~ vars`
    b> !send BLPOP l 0             sends and reads nothing
    b> !read                       reads one frame
    b> !quiet                      nothing may arrive for 150 ms
    b> !closed                     the peer closes; what it still sends is recorded
    b> !close                      we close
    b> !raw "PING\r\n"             sends bytes, reads one frame (or `~ frames N`)
    !blocked 1                     waits until the master counts one blocked client
    !sleep 20                      milliseconds
    !master WORDS                  a command on the master itself, past the proxy
    !nodes WORDS                   a command on every node, past the proxy

Normalisers, after ` ~ `, only for what may legitimately differ between two servers:

    type         only the type character      shape   type characters and lengths of aggregates
    unordered    elements sorted              pairs   elements sorted two by two (maps in RESP2)
    deep         elements sorted at every level, for what the server keeps in hash tables
    near N       integers within N            mask R  matches of the regular expression R become *
    code         an error's first word        frames N  N frames; with `unordered` they are sorted
    vars         remembered values become $name         any     only that a reply comes
    any-error    only that it is an error
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import time

from harness import Topology, wait_until
from resp import Closed, Frame, Malformed, Raw

SCRIPTS = pathlib.Path(__file__).resolve().parent / "scripts"
NORMALISERS = {"deep", "type", "shape", "unordered", "pairs", "near", "mask", "code", "frames", "vars", "any", "any-error"}


@dataclasses.dataclass
class Step:
    line: int
    source: str
    connection: str
    action: str
    words: list[bytes]
    normalisers: list[tuple[str, str]]
    capture: str | None

    @property
    def frames(self) -> int:
        return next((int(argument) for name, argument in self.normalisers if name == "frames"), 1)


@dataclasses.dataclass
class Script:
    name: str
    file: str
    options: set[str]
    steps: list[Step]

    @property
    def identifier(self) -> str:
        return f"{self.file}:{self.name.replace(' ', '-')}"


def split(line: str) -> list[bytes]:
    """Splits words as redis-cli does (sds.c, sdssplitargs)."""
    words, index = [], 0
    simple = {"n": 10, "r": 13, "t": 9, "b": 8, "a": 7}
    while True:
        while index < len(line) and line[index].isspace():
            index += 1
        if index >= len(line):
            return words
        word = bytearray()
        quote = ""
        while True:
            if index >= len(line):
                if quote:
                    raise ValueError(f"unbalanced quotes: {line}")
                break
            character = line[index]
            if quote == '"':
                if character == "\\" and line[index + 1] == "x":
                    word.append(int(line[index + 2:index + 4], 16))
                    index += 4
                    continue
                if character == "\\":
                    escaped = line[index + 1]
                    word.append(simple.get(escaped, ord(escaped)))
                    index += 2
                    continue
                if character == '"':
                    quote = ""
                else:
                    word += character.encode()
            elif quote == "'":
                if character == "'":
                    quote = ""
                else:
                    word += character.encode()
            elif character.isspace():
                break
            elif character in "\"'":
                quote = character
            else:
                word += character.encode()
            index += 1
        words.append(bytes(word))


def load(path: pathlib.Path) -> list[Script]:
    scripts = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("=="):
            match = re.fullmatch(r"== ([^\[]+?)(?: \[([^\]]*)\])?", line)
            assert match, f"{path}:{number}: {line}"
            scripts.append(Script(match.group(1), path.stem, set((match.group(2) or "").split()), []))
            continue
        scripts[-1].steps.append(parse_step(line, f"{path}:{number}", number))
    return scripts


def parse_step(line: str, place: str, number: int) -> Step:
    source, normalisers, capture = line, [], None
    if " ~ " in line:
        head, tail = line.rsplit(" ~ ", 1)
        pieces = tail.split(" & ")
        for piece in pieces:
            name, _, argument = piece.strip().partition(" ")
            assert name in NORMALISERS, f"{place}: unknown normaliser {name!r}"
            normalisers.append((name, argument))
        line = head.rstrip()
    match = re.search(r"\s=> \$(\w+)$", line)
    if match:
        capture = match.group(1)
        line = line[:match.start()].rstrip()
    connection = "a"
    match = re.match(r"(\w+)> ", line)
    if match:
        connection, line = match.group(1), line[match.end():].lstrip()
    action = "call"
    if line.startswith("!"):
        verb, _, line = line[1:].partition(" ")
        assert verb in ("send", "read", "quiet", "closed", "close", "raw", "blocked", "sleep", "master", "nodes"), f"{place}: {verb}"
        action = verb
    return Step(number, source, connection, action, split(line), normalisers, capture)


def load_all() -> list[Script]:
    scripts = [script for path in sorted(SCRIPTS.glob("*.script")) for script in load(path)]
    names = [script.identifier for script in scripts]
    assert len(names) == len(set(names)), "two scripts of the same name"
    return scripts


class Runner:
    """Runs scripts on one endpoint. `settle` makes every replica catch up after each step, so that reads there are deterministic."""

    def __init__(self, port: int, topology: Topology, proto: int, settle: bool, password: str | None = None):
        self.port = port
        self.topology = topology
        self.proto = proto
        self.settle = settle
        self.password = password
        self.connections: dict[str, Raw] = {}
        self.variables: dict[str, bytes] = {}
        self.offset = -1

    def run(self, script: Script) -> list[tuple[Step, object]]:
        outcomes = []
        try:
            for step in script.steps:
                try:
                    outcome = self.step(step)
                except TimeoutError as error:
                    outcomes.append((step, f"<no reply: {error}>"))
                    break
                except (Closed, BrokenPipeError, ConnectionError) as error:
                    outcomes.append((step, f"<closed: {error}>"))
                    break
                except Malformed as error:
                    outcomes.append((step, f"<not RESP: {error}>"))
                    break
                outcomes.append((step, outcome))
                if self.settle and step.action in ("call", "raw", "send", "read", "close", "master"):
                    self.synchronise()
        finally:
            for connection in self.connections.values():
                connection.close()
            self.connections.clear()
        return outcomes

    def synchronise(self) -> None:
        offset = self.topology.offset()
        if offset != self.offset:
            self.topology.synchronise()
            self.offset = offset

    def connection(self, name: str) -> Raw:
        if name not in self.connections:
            self.connections[name] = Raw(self.port, proto=self.proto, timeout=3.0, password=self.password)
        return self.connections[name]

    def words(self, step: Step) -> list[bytes]:
        return [re.sub(rb"\$(\w+)", lambda m: self.variables.get(m.group(1).decode(), m.group(0)), word) for word in step.words]

    def step(self, step: Step):
        words = self.words(step)
        if step.action == "sleep":
            time.sleep(int(words[0]) / 1000)
            return None
        if step.action == "blocked":
            wanted = words[0].decode()
            wait_until(lambda: self.topology.master.info("clients")["blocked_clients"] == wanted, 3,
                       message=lambda: f"line {step.line}: {self.topology.master.info('clients')['blocked_clients']} blocked clients, not {wanted}")
            return None
        if step.action in ("master", "nodes"):
            for node in self.topology.nodes if step.action == "nodes" else [self.topology.master]:
                node.command(*words)
            return None
        connection = self.connection(step.connection)
        if step.action == "close":
            connection.close()
            del self.connections[step.connection]
            return None
        if step.action == "quiet":
            connection.assert_quiet()
            return None
        if step.action == "closed":
            return connection.read_until_closed()
        if step.action == "send":
            connection.send(*words)
            return None
        if step.action == "call":
            connection.send(*words)
        elif step.action == "raw":
            connection.send_bytes(words[0])
        frames = connection.replies(step.frames)
        if step.capture:
            value = frames[-1].value
            self.variables[step.capture] = value if isinstance(value, bytes) else str(value).encode()
        return normalise(frames, step, self.variables)


def normalise(frames: list[Frame], step: Step, variables: dict[str, bytes]):
    names = [name for name, _ in step.normalisers]
    results = [_normalise(frame, step, variables) for frame in frames]
    if len(results) == 1:
        return results[0]
    return sorted(results, key=repr) if "unordered" in names else results


def _normalise(frame: Frame, step: Step, variables: dict[str, bytes]):
    result: object = frame.raw
    for name, argument in step.normalisers:
        if name == "any":
            result = "reply"
        elif name == "any-error":
            result = "error" if frame.is_error else frame.raw
        elif name == "type":
            result = frame.kind
        elif name == "shape":
            result = shape(frame)
        elif name == "deep":
            result = deep(frame)
        elif name == "code":
            result = "-" + frame.value.code if frame.is_error else frame.raw
        elif name == "unordered" and frame.items is not None:
            step_size = 2 if frame.kind == "%" else 1
            result = [frame.kind, *sorted(b"".join(item.raw for item in frame.items[i:i + step_size]) for i in range(0, len(frame.items), step_size))]
        elif name == "pairs" and frame.items is not None:
            result = [frame.kind, *sorted(b"".join(item.raw for item in frame.items[i:i + 2]) for i in range(0, len(frame.items), 2))]
        elif name == "near" and frame.kind == ":":
            result = Near(frame.value, float(argument))
        elif name == "mask":
            result = re.sub(argument.encode(), b"*", result)
        elif name == "vars":
            for variable, value in variables.items():
                result = re.sub(rb"(?<![\w.])" + re.escape(value) + rb"(?![\w.])", b"$" + variable.encode(), result)
    return result


def deep(frame: Frame):
    if frame.items is None:
        return frame.raw
    return [frame.kind, *sorted(map(deep, frame.items), key=repr)]


def shape(frame: Frame):
    if frame.items is not None:
        return [f"{frame.kind}{len(frame.items)}", *map(shape, frame.items)]
    return frame.kind


class Near:
    """An integer that equals another within a tolerance."""

    def __init__(self, value: int, tolerance: float):
        self.value, self.tolerance = value, tolerance

    def __eq__(self, other) -> bool:
        return isinstance(other, Near) and abs(self.value - other.value) <= self.tolerance

    __hash__ = None

    def __repr__(self) -> str:
        return f"{self.value}±{self.tolerance:g}"


def differences(expected, actual) -> str:
    """What differs between two runs of a script, for humans; empty when nothing does."""
    lines = []
    for index in range(max(len(expected), len(actual))):
        if index >= len(actual):
            lines.append(f"  ... the run ended before line {expected[index][0].line}")
            break
        step, got = actual[index]
        wanted = expected[index][1] if index < len(expected) else "<nothing: the reference run ended earlier>"
        if wanted != got:
            if isinstance(wanted, list) and isinstance(got, list):
                # Only what differs, or a table of all commands fills the screen.
                wanted, got = [item for item in wanted if item not in got], [item for item in got if item not in wanted]
            lines += [f"  line {step.line}: {step.source}", f"    redis-server: {_shown(wanted)}", f"    here:         {_shown(got)}"]
    return "\n".join(lines)


def _shown(value) -> str:
    written = repr(value)
    return written if len(written) <= 1000 else f"{written[:600]} ...({len(written)} characters)... {written[-300:]}"
