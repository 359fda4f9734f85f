"""Libraries of eight languages, and redis-cli and redis-benchmark, drive the proxy as they would one Redis."""

import os
import pathlib
import shutil
import sys

import pytest

from harness import run_command

CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"


def succeeds(*words, timeout=25, **options):
    result = run_command(*words, timeout=timeout, **options)
    assert result.returncode == 0 and result.stdout.strip().endswith("ok"), f"exit {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"


def need(program: str) -> str:
    path = shutil.which(program)
    assert path, f"{program} is not installed: see debian-packages.txt"
    return path


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("module", ["redis", "valkey"])
def test_python(module, protocol, proxy):
    succeeds(sys.executable, CLIENTS / "python_redis.py", module, proxy.port, protocol)


def test_python_client_side_cache(proxy):
    succeeds(sys.executable, CLIENTS / "python_redis_cache.py", proxy.port)


def test_python_asyncio(proxy):
    succeeds(sys.executable, CLIENTS / "python_asyncio.py", proxy.port)


def test_python_coredis(proxy):
    succeeds(sys.executable, CLIENTS / "python_coredis.py", proxy.port)


def test_c_hiredis(proxy, tmp_path):
    program = tmp_path / "hiredis_client"
    run_command(need("cc"), "-Wall", "-o", program, CLIENTS / "hiredis_client.c", "-lhiredis", check=True)
    succeeds(program, proxy.port)


def test_ruby(proxy):
    succeeds(need("ruby"), CLIENTS / "ruby_client.rb", proxy.port)


def test_php(proxy):
    succeeds(need("php"), CLIENTS / "php_client.php", proxy.port)


def test_node(proxy):
    succeeds(need("node"), CLIENTS / "node_client.js", proxy.port, env={**os.environ, "NODE_PATH": "/usr/share/nodejs"})


def test_perl(proxy):
    succeeds(need("perl"), CLIENTS / "perl_client.pl", proxy.port)


def test_lua(proxy):
    succeeds(need("lua5.1"), CLIENTS / "lua_client.lua", proxy.port)


@pytest.mark.timeout(90)
def test_go_redigo(proxy, tmp_path):
    environment = {**os.environ, "GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-p=1"}
    run_command(need("go"), "build", "-o", tmp_path / "go_client", CLIENTS / "go_client.go", timeout=80, check=True, env=environment)
    succeeds(tmp_path / "go_client", proxy.port)


def test_redis_cli(topology, proxy, tmp_path):
    cli = need("redis-cli")

    def run(*words, **options):
        result = run_command(cli, "-p", proxy.port, *words, **options)
        assert result.returncode == 0, result
        return result.stdout

    assert run("SET", "k", "v") == "OK\n"
    topology.synchronise()
    assert run("-3", "GET", "k") == "v\n"
    assert run("-n", "4", "SET", "k", "four") == "OK\n"
    assert run("-r", "20", "INCR", "n").split() == [str(index) for index in range(1, 21)]
    (tmp_path / "mass").write_text("".join(f"SET mass{index} {index}\r\n" for index in range(5000)))
    with open(tmp_path / "mass") as mass:
        assert "errors: 0, replies: 5000" in run("--pipe", stdin=mass)
    topology.synchronise()
    assert len(run("--scan", "--pattern", "mass*").split()) == 5000
    assert "Biggest string" in run("--bigkeys")
    (tmp_path / "script.lua").write_text("return {KEYS[1], ARGV[1]}")
    assert run("--eval", tmp_path / "script.lua", "key", ",", "arg").split() == ["key", "arg"]
    assert "role:master" in run("INFO", "replication")


def test_redis_benchmark(proxy):
    result = run_command(need("redis-benchmark"), "-p", proxy.port, "-q", "-n", "2000", "-c", "20", "-P", "8", "-t", "set,get,incr,lpush,lrange_100,mset,hset,zadd,spop", "--csv", timeout=25)
    assert result.returncode == 0 and "ERR" not in result.stdout + result.stderr, result
    assert result.stdout.count("\n") >= 9
