// node-redis 4: node_client.js PORT
const assert = require('assert');
const { createClient, commandOptions, WatchError } = require('redis');
const port = Number(process.argv[2]);
const sleep = ms => new Promise(done => setTimeout(done, ms));
async function eventually(f, wanted) {
  let got;
  for (let i = 0; i < 500; i++) { got = await f(); try { assert.deepEqual(got, wanted); return; } catch (e) { await sleep(10); } }
  assert.deepEqual(got, wanted);
}
(async () => {
  const r = createClient({ socket: { host: '127.0.0.1', port } });
  r.on('error', e => { throw e; });
  await r.connect();
  await r.flushAll();
  assert.equal(await r.set('k', 'v'), 'OK');
  await eventually(() => r.get('k'), 'v');
  const numbers = await Promise.all(Array.from({ length: 1000 }, () => r.incr('n')));
  assert.deepEqual(numbers, Array.from({ length: 1000 }, (_, i) => i + 1));
  await r.hSet('h', { a: '1', b: '2' });
  await eventually(async () => ({ ...await r.hGetAll('h') }), { a: '1', b: '2' });
  await r.zAdd('z', [{ score: 1.5, value: 'x' }]);
  await eventually(() => r.zRangeWithScores('z', 0, -1), [{ value: 'x', score: 1.5 }]);
  assert.deepEqual(await r.multi().set('t', '1').incr('t').get('t').exec(), ['OK', 2, '2']);
  await assert.rejects(r.executeIsolated(async c => {
    await c.watch('t');
    await r.set('t', 'changed');
    return c.multi().incr('t').exec();
  }), WatchError);
  assert.deepEqual(await r.eval('return {KEYS[1], ARGV[1]}', { keys: ['k'], arguments: ['a'] }), ['k', 'a']);
  const sha = await r.scriptLoad("return 'loaded'");
  assert.equal(await r.evalSha(sha), 'loaded');
  await assert.rejects(r.lPush('k', 'x'), /WRONGTYPE/);
  const blocked = r.blPop(commandOptions({ isolated: true }), 'q', 5);
  await sleep(100);
  await r.rPush('q', 'job');
  assert.deepEqual(await blocked, { key: 'q', element: 'job' });
  const s = r.duplicate();
  await s.connect();
  const got = [];
  await s.subscribe('ch', m => got.push(m));
  await s.pSubscribe('pat*', m => got.push('p' + m));
  for (let i = 0; i < 20; i++) await r.publish('ch', String(i));
  await r.publish('pattern', 'x');
  await eventually(() => got.length, 21);
  assert.deepEqual(got, [...Array.from({ length: 20 }, (_, i) => String(i)), 'px']);
  await s.unsubscribe(); await s.pUnsubscribe();
  assert.equal(await s.ping(), 'PONG');
  await s.quit();
  for (let i = 0; i < 300; i++) r.sAdd('s', 'm' + i);
  await eventually(async () => { const all = new Set(); for await (const m of r.sScanIterator('s')) all.add(m); return all.size; }, 300);
  await r.xAdd('st', '1-1', { f: 'v' });
  await r.xGroupCreate('st', 'g', '0');
  const entries = await r.xReadGroup('g', 'c', { key: 'st', id: '>' });
  assert.equal(entries[0].messages[0].id, '1-1');
  assert.match(await r.info('replication'), /role:master/);
  await r.quit();
  console.log('ok');
})().catch(e => { console.error(e); process.exit(1); });
