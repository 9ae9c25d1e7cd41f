// Drives a server with the unmodified npm kurento-client 7.3.0.
// Usage, after npm ci: node client.js <ws url>
// Prints "ok <what>" per step and "done" at the end; any failure exits with 1.
'use strict';
const assert = require('assert');
const [url] = process.argv.slice(2);
const kurento = require('kurento-client');
const ok = (what) => console.log('ok ' + what);
process.on('unhandledRejection', (e) => { console.error('unhandled', e); process.exit(1); });
setTimeout(() => { console.error('too slow'); process.exit(1); }, 25000).unref();

// listen resolves once the subscription is made, to a function that waits for the event.
async function listen(obj, event) {
  const seen = new Promise((resolve) => obj.once(event, resolve));
  await obj.getName(); // sent after subscribe
  return () => seen;
}

// fails calls f with a callback (in promise form this client only traces errors).
const fails = (f, code, text) => new Promise((resolve, reject) => f((err) => {
  try {
    assert.ok(err, 'expected error ' + code);
    assert.strictEqual(err.code, code);
    assert.match(err.message, text);
    resolve();
  } catch (e) { reject(e); }
}));

async function main() {
  const client = await kurento(url, { failAfter: 3 });
  ok('client');
  const manager = await client.getServerManager();
  const info = await manager.getInfo();
  assert.strictEqual(info.type, 'KMS');
  assert.deepStrictEqual(info.modules.map((m) => m.name), ['core', 'elements', 'filters']);
  ok('getInfo ' + info.version);

  const created = await listen(manager, 'ObjectCreated');
  const pipeline = await client.create('MediaPipeline');
  assert.match(pipeline.id, /_kurento\.MediaPipeline$/);
  assert.strictEqual((await created()).object.id || (await created()).object, pipeline.id);
  ok('create MediaPipeline, ObjectCreated');
  assert.deepStrictEqual((await manager.getPipelines()).map((p) => p.id), [pipeline.id]);
  ok('getPipelines');
  assert.ok((await manager.getSessions()).length >= 1);
  ok('getSessions');

  const a = await pipeline.create('PassThrough');
  const [b, c] = await Promise.all([pipeline.create('kurento.PassThrough'), pipeline.create('PassThrough')]);
  assert.ok(a.id.startsWith(pipeline.id + '/'));
  ok('create PassThrough, bare and qualified');

  await a.setName('joint');
  assert.strictEqual(await a.getName(), 'joint');
  await a.addTag('room', 'r1');
  assert.strictEqual(await a.getTag('room'), 'r1');
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
  assert.deepStrictEqual(e.tags.map((t) => [t.key, t.value]), [['room', 'r1']]);
  ok('connect, ElementConnected with tags');
  const rows = await a.getSinkConnections('AUDIO');
  assert.strictEqual(rows.length, 1);
  assert.strictEqual(rows[0].sink.id || rows[0].sink, b.id);
  assert.strictEqual((await b.getSourceConnections()).length, 1);
  ok('connections');
  await a.connect(c);
  await a.connect(b);
  await b.connect(c);
  await b.disconnect(c);
  ok('connect, disconnect');
  assert.strictEqual(await a.isMediaFlowingIn('AUDIO'), false);
  const stats = await a.getStats();
  assert.strictEqual(stats[a.id].type, 'element');
  ok('getStats');
  assert.match(await pipeline.getGstreamerDot(), /^digraph/);
  assert.match(await a.getGstreamerDot('SHOW_ALL'), /^digraph/);
  ok('getGstreamerDot');
  await pipeline.setLatencyStats(true);
  assert.strictEqual(await pipeline.getLatencyStats(), true);

  await fails((cb) => a.getTag('none', cb), 40110, /Tag key not found/);
  const other = await client.create('MediaPipeline');
  const far = await other.create('PassThrough');
  await fails((cb) => a.connect(far, cb), 40004, /do not share pipeline/);
  await fails((cb) => pipeline.create('ZBarFilter', cb), 40108, /Factory 'ZBarFilter' not found/);
  ok('errors');

  // Transactions of this client need Node before 16 (it calls the Domain class as
  // a function); the wire form is in the golden conversations.
  const again = await client.getMediaobjectById(a.id);
  assert.strictEqual(again.id, a.id);
  const second = await kurento(url, { failAfter: 3 });
  const seen = await second.getMediaobjectById(a.id);
  assert.strictEqual(await seen.getName(), 'joint');
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

  // A socket that breaks is dialled again and keeps its session.
  const keep = await client.create('MediaPipeline');
  const resumed = new Promise((resolve) => client.once('reconnected', resolve));
  const session = client.sessionId;
  console.log('cut');
  assert.strictEqual(await resumed, true);
  assert.strictEqual(client.sessionId, session);
  assert.match(await keep.getName(), /MediaPipeline/);
  ok('reconnected with the same session');
  await keep.release();
  client.close();
  console.log('done');
}
main().then(() => process.exit(0), (e) => { console.error(e); process.exit(1); });
