// The manager, objects, events, errors, sessions and reconnecting, with either line.
'use strict';
const { assert, kurento, six, ok, start, call, fails, listen, within, run } = require('./lib');

run(async () => {
  const client = await start();
  ok(`client of ${six ? '6.18' : '7.3'}`);
  const manager = await client.getServerManager();
  const info = await manager.getInfo();
  assert.strictEqual(info.type, 'KMS');
  assert.deepStrictEqual(info.modules.map((m) => m.name), ['core', 'elements', 'filters']);
  assert.deepStrictEqual(info.capabilities, ['transactions']);
  ok('getInfo ' + info.version);
  for (const name of ['core', 'elements', 'filters']) {
    const kmd = JSON.parse(await manager.getKmd(name));
    assert.strictEqual(kmd.name, name);
    assert.ok(Array.isArray(kmd.remoteClasses));
  }
  await fails((cb) => manager.getKmd('nope', cb), 40500, /kmd module doesn't exist/);
  assert.ok((await manager.getUsedMemory()) > 1000);
  assert.ok((await manager.getCpuCount()) >= 1);
  assert.ok((await manager.getUsedCpu(50)) >= 0);
  assert.strictEqual(await manager.getMetadata(), '');
  ok('getKmd, getUsedMemory, getCpuCount, getUsedCpu, getMetadata');

  const created = await listen(manager, 'ObjectCreated');
  const pipeline = await client.create('MediaPipeline');
  assert.match(pipeline.id, /_kurento\.MediaPipeline$/);
  const e0 = await created();
  assert.strictEqual(e0.object.id || e0.object, pipeline.id);
  ok('create MediaPipeline, ObjectCreated');
  assert.deepStrictEqual((await manager.getPipelines()).map((p) => p.id), [pipeline.id]);
  assert.strictEqual((await manager.getSessions()).length, 1);
  ok('getPipelines, getSessions');

  const a = await pipeline.create('PassThrough');
  const [b, c] = await Promise.all([pipeline.create('kurento.PassThrough'), pipeline.create('PassThrough')]);
  assert.ok(a.id.startsWith(pipeline.id + '/'));
  ok('create PassThrough, bare and qualified');

  await a.setName('joint');
  assert.strictEqual(await a.getName(), 'joint');
  await a.addTag('room', 'r1');
  await a.addTag('room', 'r2');
  assert.strictEqual(await a.getTag('room'), 'r2');
  await a.addTag('a', '1');
  assert.deepStrictEqual((await a.getTags()).map((t) => t.key), ['a', 'room']);
  await a.removeTag('a');
  await a.setSendTagsInEvents(true);
  assert.strictEqual((await a.getMediaPipeline()).id, pipeline.id);
  assert.strictEqual((await a.getParent()).id, pipeline.id);
  assert.strictEqual((await pipeline.getChildren()).length, 3);
  assert.ok(Math.abs((await a.getCreationTime()) - Date.now() / 1000) < 60);
  ok('names, tags, parent, children');

  const connected = await listen(a, 'ElementConnected');
  await a.connect(b, 'AUDIO');
  const e = await connected();
  assert.strictEqual(e.mediaType, 'AUDIO');
  assert.match(e.timestampMillis, /^\d{13,}$/);
  assert.match(e.timestamp, /^\d{10,}$/); // of 6.x, beside it for who may be one
  assert.deepStrictEqual(e.tags.map((t) => [t.key, t.value]), [['room', 'r2']]);
  ok('connect, ElementConnected with tags');
  const rows = await a.getSinkConnections('AUDIO');
  assert.strictEqual(rows.length, 1);
  assert.strictEqual(rows[0].sink.id || rows[0].sink, b.id);
  assert.strictEqual((await b.getSourceConnections()).length, 1);
  await a.connect(c);
  await a.connect(b);
  await b.connect(c);
  await b.disconnect(c);
  ok('connect, disconnect, connections');
  assert.strictEqual(await a.isMediaFlowingIn('AUDIO'), false);

  await pipeline.setLatencyStats(true);
  assert.strictEqual(await pipeline.getLatencyStats(), true);
  const stats = (await a.getStats())[a.id];
  assert.strictEqual(stats.type, 'element');
  assert.ok(Array.isArray(stats.inputLatency));
  assert.strictEqual(typeof stats.timestampMillis, 'number');
  if (six) {
    assert.strictEqual(stats.inputAudioLatency, 0);
    assert.strictEqual(Math.floor(stats.timestamp), Math.floor(stats.timestampMillis / 1000));
  }
  ok('getStats');
  assert.match(await pipeline.getGstreamerDot(), /^digraph/);
  assert.match(await a.getGstreamerDot('SHOW_ALL'), /^digraph/);
  ok('getGstreamerDot');

  await fails((cb) => a.getTag('none', cb), 40110, /Tag key not found/);
  const other = await client.create('MediaPipeline');
  const far = await other.create('PassThrough');
  await fails((cb) => a.connect(far, cb), 40004, /do not share pipeline/);
  const gone = await other.create('PassThrough');
  const goneId = gone.id;
  await gone.release();
  const lost = await fails((cb) => client.getMediaobjectById(goneId, cb), 40101, / not found/).catch((x) => x);
  assert.ok(lost instanceof ReferenceError || lost.code === 40101, String(lost));
  ok('errors');

  // Transactions of these clients need Node before 16 (they call the Domain class as
  // a function); the wire form is among the recorded conversations.
  const second = await start();
  const seen = await second.getMediaobjectById(a.id);
  assert.strictEqual(await seen.getName(), 'joint');
  assert.strictEqual((await manager.getSessions()).length, 2);
  ok('getMediaobjectById from a second client');
  await fails((cb) => second.getMediaobjectById('nope_kurento.MediaPipeline', cb), 40101, / not found/);
  second.close();

  const destroyed = await listen(manager, 'ObjectDestroyed');
  await far.release();
  assert.strictEqual((await destroyed()).objectId, far.id);
  await pipeline.release();
  await other.release();
  assert.deepStrictEqual(await manager.getPipelines(), []);
  ok('release, ObjectDestroyed');

  // A socket that breaks is dialled again and keeps its session, objects and
  // subscriptions.
  const keep = await client.create('MediaPipeline');
  const [k1, k2] = [await keep.create('PassThrough'), await keep.create('PassThrough')];
  const later = await listen(k1, 'ElementConnected');
  const reconnected = () => within(20000, 'reconnected', new Promise((resolve) => client.once('reconnected', resolve)));
  let back = reconnected();
  const sessions = await manager.getSessions();
  console.log('cut');
  assert.strictEqual(await back, true);
  assert.deepStrictEqual(await manager.getSessions(), sessions);
  assert.match(await keep.getName(), /MediaPipeline/);
  await k1.connect(k2, 'VIDEO');
  assert.strictEqual((await within(10000, 'ElementConnected after reconnecting', later())).mediaType, 'VIDEO');
  ok('reconnected with the same session');

  // A server that was started anew knows neither session nor objects.
  back = reconnected();
  console.log('restart');
  assert.strictEqual(await back, false);
  ok('reconnected to a server without the session');
  const fresh = await client.create('MediaPipeline');
  assert.notStrictEqual(fresh.id, keep.id);
  await fresh.release();
  client.close();
});
