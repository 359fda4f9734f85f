<?php // phpredis: php_client.php PORT
function check($condition, $what) { if (!$condition) { fwrite(STDERR, "failed: $what\n"); exit(1); } }
function eventually($f, $what) { for ($i = 0; $i < 500; $i++) { if ($f()) return; usleep(10000); } check(false, $what); }
ini_set('default_socket_timeout', '10');
$port = (int)$argv[1];
$r = new Redis(); $r->connect('127.0.0.1', $port, 5.0);
$r->flushAll();
check($r->set('k', "bin\0\r\n"), 'set');
eventually(fn() => $r->get('k') === "bin\0\r\n", 'get');
check($r->incr('n') === 1, 'incr');
$r->hMSet('h', ['a' => '1', 'b' => '2']);
eventually(fn() => $r->hGetAll('h') == ['a' => '1', 'b' => '2'], 'hgetall');
check($r->rPush('l', 'a', 'b') === 2, 'rpush');
check($r->zAdd('z', 1.5, 'x') === 1, 'zadd');
eventually(fn() => $r->zRange('z', 0, -1, true) == ['x' => 1.5], 'zrange');
$p = $r->pipeline(); for ($i = 0; $i < 100; $i++) { $p->set("p$i", $i); $p->incr('count'); }
check(count($p->exec()) === 200, 'pipeline');
check($r->multi()->incr('t')->get('t')->exec() == [1, '1'], 'multi');
$r->watch('t'); $other = new Redis(); $other->connect('127.0.0.1', $port); $other->set('t', 'x');
check($r->multi()->incr('t')->exec() === false, 'watch');
check($r->eval('return {KEYS[1], ARGV[1]}', ['k', 'a'], 1) == ['k', 'a'], 'eval');
$sha = $r->script('load', "return 'loaded'"); check($r->evalSha($sha) === 'loaded', 'evalsha');
check($r->lPush('k', 'x') === false && strpos($r->getLastError(), 'WRONGTYPE') === 0, 'wrongtype');
check($r->blPop(['l'], 1) == ['l', 'a'], 'blpop');
check($r->blPop(['none'], 1) == [], 'blpop timeout');
for ($i = 0; $i < 300; $i++) $r->sAdd('s', "m$i");
$r->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
eventually(function() use ($r) { $it = null; $all = []; while ($page = $r->sScan('s', $it)) foreach ($page as $m) $all[$m] = 1; return count($all) === 300; }, 'sscan');
$r->xAdd('st', '1-1', ['f' => 'v']);
eventually(fn() => $r->xRange('st', '-', '+') == ['1-1' => ['f' => 'v']], 'xrange');
check($r->select(5) && $r->set('five', '5') && $r->select(0) && $r->get('five') === false, 'select');
check($r->info()['role'] === 'master', 'info');
$s = new Redis(); $s->connect('127.0.0.1', $port, 5.0); $s->setOption(Redis::OPT_READ_TIMEOUT, 0.5); $got = [];
try { $s->subscribe(['ch'], function($s, $ch, $m) use (&$got) { $got[] = $m; }); } catch (RedisException $e) { }
$pid = null;
echo "ok\n";
