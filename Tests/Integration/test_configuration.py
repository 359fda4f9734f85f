"""The command line and proxy.conf: what is accepted, what is refused and with which words."""

import re

import pytest

from harness import binary, free_port, run_command, wait_until
from resp import Raw

pytestmark = pytest.mark.needs_proxy

VALID = """
# a comment
port 7379
bind 127.0.0.1 -::1
unixsocket "/tmp/with space.sock"
threads 2
mode static
master 127.0.0.1:6379
replica 127.0.0.1:6380 weight 3 zone east
replica 127.0.0.1:6381 zone west
replica [::1]:6382
backend-user proxy
backend-password 'single quoted'
requirepass "quoted \\"password\\" \\x41"
read-from prefer-replica
replica-selection least-outstanding
zone east
max-replica-lag-bytes 10mb
max-replica-lag-seconds 5
maxclients 10000
timeout 0
tcp-keepalive 300
connect-timeout 1000
request-timeout 5000
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit pubsub 32mb 8mb 60
client-query-buffer-limit 1gb
proto-max-bulk-len 512mb
maxmemory-buffers 1gb
admin-commands deny
rename-command FLUSHALL ""
rename-command KEYS find
deny-command DEBUG
deny-command CONFIG|SET
metrics-port 9121
loglevel notice
logfile ""
log-format text
"""


def check(tmp_path, text: str, *arguments):
    path = tmp_path / "proxy.conf"
    path.write_text(text)
    result = run_command(binary(), "--check", path, *arguments, cwd=tmp_path)
    return result, result.stdout + result.stderr, path


def test_every_directive_of_the_specification_is_accepted(tmp_path):
    result, output, _ = check(tmp_path, VALID)
    assert result.returncode == 0, output


def test_directives_are_case_insensitive_and_blank_lines_are_skipped(tmp_path):
    result, output, _ = check(tmp_path, "\n\n   PORT   7000   \n\tMaster 127.0.0.1:1\n# end")
    assert result.returncode == 0, output


@pytest.mark.parametrize("line, near", [("replca 127.0.0.1:1", "replica"), ("read_from any", "read-from"), ("prot 7000", "port"), ("max-clients 5", "maxclients"), ("log-level debug", "loglevel")])
def test_unknown_directive_names_file_line_text_and_nearest_name(line, near, tmp_path):
    result, output, path = check(tmp_path, f"port 7000\nmaster 127.0.0.1:1\n\n{line}\n")
    assert result.returncode == 1
    assert f"{path}:4" in output or f"{path.name}:4" in output, output
    assert line.split()[0] in output and near in output.replace(line, ""), output


BAD_VALUES = [
    "port abc", "port 70000", "port -1", "port", "port 1 2", "threads x", "threads -1", "mode nonsense", "master nohost", "master 127.0.0.1:99999", "master 127.0.0.1:", "replica 127.0.0.1:1 weight 0",
    "replica 127.0.0.1:1 weight x", "replica 127.0.0.1:1 wieght 3", "replica 127.0.0.1:1 weight", "read-from nearest", "replica-selection best", "maxclients 0", "maxclients many", "timeout -5",
    "request-timeout soon", "client-output-buffer-limit normal 1", "client-output-buffer-limit nobody 0 0 0", "client-query-buffer-limit 5parsecs", "admin-commands maybe", "rename-command GET",
    "loglevel loud", "log-format xml", "metrics-port 99999", 'requirepass "unbalanced', "deny-command", "max-replica-lag-bytes -1", "include /nonexistent/file.conf", "unixsocket",
]


@pytest.mark.parametrize("line", BAD_VALUES)
def test_bad_value_is_refused_with_file_line_and_text(line, tmp_path):
    result, output, path = check(tmp_path, f"master 127.0.0.1:1\n# second line\n{line}\n")
    assert result.returncode == 1, output
    assert f"{path.name}:3" in output, output
    assert line.split()[0] in output


@pytest.mark.parametrize("text, words", [
    ("port 7000\nmode static\n", ["master"]),
    ("master 127.0.0.1:1\nreplica 127.0.0.1:1\n", ["127.0.0.1:1"]),
    ("master 127.0.0.1:1\nreplica 127.0.0.1:2\nreplica 127.0.0.1:2\n", ["127.0.0.1:2"]),
    ("master 127.0.0.1:1\nport 0\n", ["port", "unixsocket"]),
    ("master 127.0.0.1:1\nport 7000\nmetrics-port 7000\n", ["7000"]),
])
def test_contradictions_are_refused(text, words, tmp_path):
    result, output, _ = check(tmp_path, text)
    assert result.returncode == 1, output
    for word in words:
        assert word in output, output


def test_include_and_its_errors(tmp_path):
    (tmp_path / "nodes.conf").write_text("master 127.0.0.1:1\nreplica 127.0.0.1:2\n")
    result, output, _ = check(tmp_path, f"port 7000\ninclude {tmp_path}/nodes.conf\n")
    assert result.returncode == 0, output
    (tmp_path / "nodes.conf").write_text("master 127.0.0.1:1\n\nnonsense here\n")
    result, output, _ = check(tmp_path, f"port 7000\ninclude {tmp_path}/nodes.conf\n")
    assert result.returncode == 1 and "nodes.conf:3" in output, output
    (tmp_path / "loop.conf").write_text(f"include {tmp_path}/loop.conf\n")
    result, output, _ = check(tmp_path, f"include {tmp_path}/loop.conf\nmaster 127.0.0.1:1\n")
    assert result.returncode == 1, output


def test_version_and_help(tmp_path):
    version = run_command(binary(), "--version")
    assert version.returncode == 0 and re.search(r"switchyard.*\d+\.\d+", version.stdout, re.I), version
    usage = run_command(binary(), "--help")
    assert usage.returncode == 0
    for word in ("--check", "--version", "--help", "proxy.conf", "--port", "--master", "--replica", "--read-from", "--metrics-port", "--admin-commands"):
        assert word in usage.stdout, f"{word} is missing from --help"


def test_help_describes_every_directive(tmp_path):
    usage = run_command(binary(), "--help").stdout
    for line in VALID.splitlines():
        if line and not line.startswith("#"):
            assert line.split()[0] in usage, line


@pytest.mark.parametrize("arguments", [["--prot", "1"], ["--port"], ["--port", "abc"], ["/nonexistent/proxy.conf"], ["a.conf", "b.conf"]])
def test_bad_command_line_is_refused(arguments, tmp_path):
    result = run_command(binary(), *arguments, cwd=tmp_path, timeout=10)
    output = result.stdout + result.stderr
    assert result.returncode == 1 and output.strip(), output
    if arguments[0] == "--prot":
        assert "prot" in output and "port" in output.replace("--prot ", "")


def test_check_of_a_missing_file(tmp_path):
    result = run_command(binary(), "--check", tmp_path / "none.conf")
    assert result.returncode == 1 and "none.conf" in result.stdout + result.stderr


def test_directives_on_the_command_line_override_the_file(topology, make_proxy):
    proxy = make_proxy(topology, "read-from master", arguments=("--read-from", "prefer-replica", "--maxclients", "3"))
    with proxy.connect() as client, proxy.connect(), proxy.connect():
        assert client.value("PROXY", "CONFIG", "GET", "read-from") == [b"read-from", b"prefer-replica"]
        with Raw(proxy.port) as extra:
            assert extra.read_until_closed(2).startswith(b"-ERR max number of clients")


def test_started_with_directives_only(topology, tmp_path):
    from harness import Process
    port = free_port()
    replicas = [word for replica in topology.replicas for word in ("--replica", f"127.0.0.1:{replica.port}", "weight", "2")]
    process = Process("proxy-arguments", [binary(), "--port", port, "--master", f"127.0.0.1:{topology.master.port}", *replicas, "--threads", "1"], tmp_path)
    def answers():
        assert process.running, process.log()
        try:
            with Raw(port) as client:
                return client.call("SET", "k", "v").raw == b"+OK\r\n"
        except OSError:
            return False
    wait_until(answers, 8, 0.05, process.log)
    process.kill()


def test_port_in_use_is_said(topology, make_proxy, redis):
    taken = redis()
    proxy = make_proxy(topology, port=taken.port, wait=False)
    assert proxy.process.popen.wait(5) != 0
    assert str(taken.port) in proxy.log() and "use" in proxy.log().lower()


def test_config_get_and_set(topology, make_proxy):
    proxy = make_proxy(topology)
    with proxy.connect() as client, proxy.connect(proto=3) as modern:
        assert client.value("PROXY", "CONFIG", "GET", "maxclients") == [b"maxclients", b"10000"]
        assert modern.value("PROXY", "CONFIG", "GET", "maxclients") == {b"maxclients": b"10000"}
        names = client.value("PROXY", "CONFIG", "GET", "*")[::2]
        assert {b"port", b"read-from", b"request-timeout", b"timeout", b"threads", b"admin-commands"} <= set(names)
        assert client.value("PROXY", "CONFIG", "GET", "max-replica-*")[::2] == [b"max-replica-lag-bytes", b"max-replica-lag-seconds"]
        assert client.value("PROXY", "CONFIG", "GET", "nothing") == []
        client.ok("PROXY", "CONFIG", "SET", "read-from", "master")
        assert client.value("PROXY", "CONFIG", "GET", "read-from") == [b"read-from", b"master"]
        topology.reset_statistics()
        for _ in range(20):
            client.call("GET", "k")
            modern.call("GET", "k")
        assert topology.master.calls("get") == 40, "a changed read-from is not used by every thread"
        for bad in (["read-from", "nearest"], ["nosuch", "1"], ["read-from"], ["port", "1"]):
            assert client.call("PROXY", "CONFIG", "SET", *bad).is_error, bad
        assert client.value("PROXY", "CONFIG", "GET", "read-from") == [b"read-from", b"master"]
        client.ok("PROXY", "CONFIG", "SET", "maxclients", "500", "request-timeout", "1234")
        assert client.value("PROXY", "CONFIG", "GET", "request-timeout") == [b"request-timeout", b"1234"]


def test_passwords_are_not_shown(topology, make_proxy):
    proxy = make_proxy(topology, "requirepass topsecret", password="topsecret")
    with proxy.connect() as client:
        assert b"topsecret" not in client.call("PROXY", "STATS").raw + client.call("PROXY", "TOPOLOGY").raw
    assert "topsecret" not in proxy.log()
