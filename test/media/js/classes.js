// Every class, created, used and released with the unmodified Kurento client.
// What the media must look and sound like is printed as lines "media {…}" for
// the caller to judge by decoding.
// Usage: node classes.js <kms url> <folder of files> <7 or 6: which client> [case …]
'use strict';
const assert = require('assert');
const fs = require('fs');
const http = require('http');
const WebSocket = require('ws');

const [url, folder, name, ...only] = process.argv.slice(2);
const six = name === '6';
const kurento = require(six ? './six/node_modules/kurento-client' : 'kurento-client');
const IceCandidate = kurento.getComplexType('IceCandidate');
process.on('unhandledRejection', (e) => { console.error('unhandled', e); process.exit(1); });

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const file = (f) => `file://${folder}/${f}`;
const media = (f, what) => console.log('media ' + JSON.stringify({ file: f, ...what }));
// Events were renamed between 6.x and 7.x; a client knows its own names only.
const event = (seven, old) => (six ? old : seven);

// The client's promises swallow errors (it prints and resolves with nothing), so
// each call is made with a callback. Objects are wrapped to do that.
const raw = Symbol('the client\'s own object');
const unwrap = (x) => x?.[raw] ?? x;
const asIs = new Set(['then', 'catch', 'id', 'constructor', 'emit', 'listeners', 'toJSON']);
const isObject = (x) => typeof x?.release === 'function' && typeof x?.id === 'string' || x?.constructor?.name === 'KurentoClient';
const wrap = (x) => {
  if (Array.isArray(x)) return x.map(wrap);
  if (!isObject(x)) return x;
  const o = x;
  return new Proxy({}, { // of an empty object: some of the client's members may not be proxied
    get(_, k) {
      if (k === raw) return o;
      if (k === 'then') return undefined; // await gives the object itself
      const v = o[k];
      if (typeof v !== 'function' || asIs.has(k) || typeof k === 'symbol') return v;
      if (['on', 'once', 'removeListener', 'close'].includes(k)) return v.bind(o);
      return (...args) => new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${k} is not answered`)), 30000);
        v.call(o, ...args.map(unwrap), (error, result) => {
          clearTimeout(timer);
          if (error) reject(error);
          else resolve(wrap(result));
        });
      });
    },
  });
};

/** The next event of a kind that satisfies check. Subscribe before provoking it. */
function next(object, type, check = () => true, ms = 20000) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${type} of ${object.id}`)), ms);
    const listen = (e) => {
      if (!check(e)) return;
      clearTimeout(timer);
      object.removeListener(type, listen);
      resolve(e);
    };
    object.on(type, listen);
  });
}
const all = (object, ...types) => {
  const seen = [];
  for (const t of types) object.on(t, (e) => seen.push({ on: t, ...e }));
  return seen;
};
/** Waits for a condition. */
async function until(what, ok) {
  for (const end = Date.now() + 20000; !(await ok());) {
    assert.ok(Date.now() < end, `never: ${what}`);
    await sleep(50);
  }
}
async function refused(code, work, text) {
  let error;
  try { await work(); } catch (e) { error = e; }
  assert.ok(error, `not refused with ${code}`);
  assert.strictEqual(error.code, code, `${error.code} ${error.message}, want ${code}`);
  if (text) assert.match(error.message, text);
}

/** Sets each property to the value, reads it back; null only reads. */
async function properties(object, values) {
  for (const [p, v] of Object.entries(values)) {
    const cap = p[0].toUpperCase() + p.slice(1);
    assert.strictEqual(typeof object['get' + cap], 'function', `the client has no get${cap}`);
    if (v !== null) await object['set' + cap](v);
    const got = await object['get' + cap]();
    if (v !== null && typeof v !== 'object') assert.deepStrictEqual(got, v, p);
  }
}

/** What every element has. */
async function element(e, type) {
  await properties(e, {
    creationTime: null, name: `my ${type}`, sendTagsInEvents: true,
    // The client never calls back for these on objects that createHubPort made.
    ...(type === 'HubPort' ? {} : { parent: null, mediaPipeline: null, children: null, ...(six ? { childs: null } : {}) }),
  });
  if (six) {
    await properties(e, { minOutputBitrate: 1000, maxOutputBitrate: 900000, minOuputBitrate: 2000, maxOuputBitrate: 800000 });
    await e.setOutputBitrate(400000);
  } else {
    await properties(e, { encoderBitrate: 400000, minEncoderBitrate: 1000, maxEncoderBitrate: 900000 });
  }
  await e.addTag('a', '1');
  assert.strictEqual(await e.getTag('a'), '1');
  assert.strictEqual((await e.getTags()).length, 1);
  await e.removeTag('a');
  await refused(40110, () => e.getTag('a'));
  assert.deepStrictEqual([...await e.getSourceConnections()], []);
  assert.deepStrictEqual([...await e.getSinkConnections('VIDEO', 'default')], []);
  assert.strictEqual(await e.isMediaFlowingIn('VIDEO'), false);
  assert.strictEqual(await e.isMediaFlowingOut('AUDIO', 'default'), false);
  assert.strictEqual(await e.isMediaTranscoding('VIDEO', 'default'), false);
  await refused(40107, () => e.isMediaFlowingIn('DATA'));
  assert.match(await e.getGstreamerDot(), /digraph/);
  const stats = await e.getStats(); // plain elements have a row only while latency is measured
  if (stats?.[e.id] && !six) assert.strictEqual(typeof stats[e.id].timestampMillis, 'number');
}

async function player(pipeline, f, options = {}) {
  const p = await pipeline.create('PlayerEndpoint', { uri: file(f), ...options });
  p.on('Error', (e) => console.error(`player ${f}: ${e.description}`));
  return p;
}

/**
 * Calls an operation that has a parameter named "id", over a socket of its own:
 * the client takes such parameters for a media object and sends its id alone.
 */
function invoke(object, operation, operationParams) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.on('error', reject);
    socket.on('open', () => socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'invoke', params: { object: object.id, operation, operationParams } })));
    socket.on('message', (text) => {
      const { error, result } = JSON.parse(text);
      socket.close();
      if (error) reject(Object.assign(new Error(error.message), error));
      else resolve(result.value);
    });
  });
}

/** Records ms of what source sends. */
async function record(pipeline, source, f, ms = 3000, mediaProfile = 'WEBM') {
  const recorder = await pipeline.create('RecorderEndpoint', { uri: file(f), mediaProfile });
  recorder.on('Error', (e) => console.error(`recorder ${f}: ${e.description}`));
  await source.connect(recorder);
  const recording = next(recorder, 'Recording');
  await recorder.record();
  await recording;
  await sleep(ms);
  await recorder.stopAndWait();
  await recorder.release();
}

const halves = { left: 'red', right: 'blue', tones: [440] }; // halves.webm: VP8, Opus
const green = { left: 'green', right: 'green', tones: [1000] }; // green.mp4: H264, AAC

const cases = {
  async ServerManager(client, pipeline) {
    const manager = await client.getServerManager();
    const info = await manager.getInfo();
    assert.deepStrictEqual(info.modules.map((m) => m.name).sort(), ['core', 'elements', 'filters']);
    assert.ok((await manager.getPipelines()).length >= 1);
    assert.ok((await manager.getSessions()).length >= 1);
    assert.strictEqual(typeof await manager.getMetadata(), 'string');
    for (const m of ['core', 'elements', 'filters']) assert.ok((await manager.getKmd(m)).length > 1000);
    await refused(40500, () => manager.getKmd('nothing'));
    assert.ok(await manager.getCpuCount() >= 1);
    assert.ok(await manager.getUsedCpu(200) >= 0);
    assert.ok(await manager.getUsedMemory() > 1000);
    const created = next(manager, 'ObjectCreated', (e) => /PassThrough/.test(e.object.id ?? e.object));
    const destroyed = next(manager, 'ObjectDestroyed', (e) => /PassThrough/.test(e.objectId));
    const p = await pipeline.create('PassThrough');
    await created;
    await p.release();
    await destroyed;
  },

  async MediaPipeline(client, pipeline) {
    await pipeline.setLatencyStats(true);
    assert.strictEqual(await pipeline.getLatencyStats(), true);
    assert.match(await pipeline.getGstreamerDot('SHOW_VERBOSE'), /digraph/);
    const source = await player(pipeline, 'halves.webm');
    const through = await pipeline.create('PassThrough');
    await source.connect(through);
    const flowing = next(through, event('MediaFlowInStateChanged', 'MediaFlowInStateChange'), (e) => e.mediaType === 'VIDEO' && e.state === 'FLOWING');
    await source.play();
    await flowing;
    await until('latency, as latencyStats is on', async () => six || (await through.getStats())[through.id].inputLatency.length >= 1);
    const dot = await pipeline.getGstreamerDot();
    assert.match(dot, /PassThrough/);
    assert.match(dot, /PlayerEndpoint/);
  },

  async PassThrough(client, pipeline) {
    const source = await player(pipeline, 'halves.webm');
    const through = await pipeline.create('PassThrough');
    await element(through, 'PassThrough');
    const events = all(source, 'ElementConnected', 'ElementDisconnected');
    await source.connect(through);
    await source.play();
    await record(pipeline, through, `${name}-through.webm`);
    media(`${name}-through.webm`, halves);
    assert.strictEqual(events.filter((e) => e.on === 'ElementConnected').length, 3);
    assert.strictEqual((await source.getSinkConnections()).length, 3);
    assert.strictEqual((await through.getSourceConnections('VIDEO')).length, 1);
    assert.strictEqual(await through.isMediaFlowingIn('VIDEO'), true);
    await source.disconnect(through);
    await until('three kinds are disconnected', () => events.filter((e) => e.on === 'ElementDisconnected').length >= 3);
    await source.getName(); // what else there was has come, too
    assert.strictEqual(events.filter((e) => e.on === 'ElementDisconnected').length, 3);
  },

  async PlayerEndpoint(client, pipeline) {
    const source = await player(pipeline, 'short.webm', { networkCache: 1000 });
    await element(source, 'PlayerEndpoint');
    const events = all(source, 'EndOfStream', 'UriEndpointStateChanged');
    assert.strictEqual(await source.getUri(), file('short.webm'));
    const end = next(source, 'EndOfStream');
    await source.play();
    await until('it plays', async () => await source.getPosition() > 100);
    const info = await source.getVideoInfo();
    assert.strictEqual(info.isSeekable, true);
    assert.ok(Math.abs(info.duration - 3000) < 300, `duration ${info.duration}`);
    const at = await source.getPosition();
    assert.ok(at < 3000, `position ${at}`);
    await source.pause();
    assert.strictEqual(await source.getState(), 'PAUSE');
    const held = await source.getPosition();
    await sleep(400);
    assert.ok(Math.abs(await source.getPosition() - held) < 150, 'a paused player moves on');
    await source.setPosition(2000);
    await source.play();
    await end;
    assert.strictEqual(await source.getState(), 'STOP');
    await sleep(100);
    const order = events.map((e) => e.on === 'EndOfStream' ? 'EOS' : e.state);
    assert.deepStrictEqual(order, ['START', 'PAUSE', 'START', 'STOP', 'EOS'], order.join());
    assert.match(await source.getElementGstreamerDot(), /digraph|^$/);
    await source.stop();

    for (const [f, type] of [['missing.webm', 'INVALID_URI'], ['garbage.webm', 'INVALID_MEDIA']]) {
      const bad = await pipeline.create('PlayerEndpoint', { uri: file(f) });
      const error = next(bad, 'Error');
      await bad.play();
      assert.strictEqual((await error).type, type, f);
    }
    // Over HTTP, and from a file whose codecs no recorder of WebM takes.
    const server = http.createServer((_, response) => fs.createReadStream(`${folder}/short.webm`).pipe(response));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const remote = await pipeline.create('PlayerEndpoint', { uri: `http://127.0.0.1:${server.address().port}/short.webm`, useEncodedMedia: true });
    const over = next(remote, 'EndOfStream');
    await remote.play();
    await over;
    server.close();
    const mp4 = await player(pipeline, 'green.mp4');
    await mp4.play();
    await record(pipeline, mp4, `${name}-green.webm`);
    media(`${name}-green.webm`, { ...green, video: 'vp8', audio: 'opus' });
  },

  async RecorderEndpoint(client, pipeline) {
    await element(await pipeline.create('RecorderEndpoint', { uri: file('never.webm') }), 'RecorderEndpoint');
    const source = await player(pipeline, 'halves.webm');
    await source.play();
    const profiles = { WEBM: 'webm', MKV: 'mkv', MP4: 'mp4', FLV: 'flv', WEBM_VIDEO_ONLY: 'webm', WEBM_AUDIO_ONLY: 'webm', MKV_VIDEO_ONLY: 'mkv', MKV_AUDIO_ONLY: 'mkv', MP4_VIDEO_ONLY: 'mp4', MP4_AUDIO_ONLY: 'mp4' };
    const recorders = [];
    let history;
    for (const [mediaProfile, suffix] of Object.entries(profiles)) {
      const f = `${name}-${mediaProfile}.${suffix}`;
      const r = await pipeline.create('RecorderEndpoint', { uri: file(f), mediaProfile, stopOnEndOfStream: mediaProfile === 'MKV' });
      r.on('Error', (e) => console.error(`recorder ${mediaProfile}: ${e.description}`));
      await source.connect(r);
      recorders.push(r);
      media(f, {
        ...(mediaProfile.includes('AUDIO') ? {} : { left: 'red', right: 'blue' }),
        ...(mediaProfile.includes('VIDEO') ? {} : { tones: [440] }),
      });
      if (mediaProfile === 'WEBM') {
        history = all(r, 'Recording', 'Paused', 'Stopped', 'UriEndpointStateChanged');
      }
      await r.record();
    }
    await sleep(3500);
    await recorders[0].pause();
    await sleep(700);
    await recorders[0].record();
    await sleep(1500);
    assert.strictEqual(await recorders[0].getState(), 'START');
    for (const r of recorders) await r.stopAndWait();
    await until('it is told that it stopped', () => history.some((e) => e.on === 'Stopped'));
    const own = history.filter((e) => e.on !== 'UriEndpointStateChanged').map((e) => e.on);
    assert.deepStrictEqual(own, ['Recording', 'Paused', 'Recording', 'Stopped']);
    await recorders[0].record(); // refused, which only the log tells
    assert.strictEqual(await recorders[0].getState(), 'STOP');
    await refused(40107, () => pipeline.create('RecorderEndpoint', { uri: file('x'), mediaProfile: 'KURENTO_SPLIT_RECORDER' }));
    const jpeg = await pipeline.create('RecorderEndpoint', { uri: file(`${name}-pictures.jpg`), mediaProfile: 'JPEG_VIDEO_ONLY' }).catch((e) => e);
    if (jpeg instanceof Error) assert.ok([40107, 40108].includes(jpeg.code), jpeg.message);

    // By HTTP: what arrives is the file.
    const chunks = [];
    let whole = false;
    const server = http.createServer((request, response) => {
      request.on('data', (c) => chunks.push(c));
      request.on('end', () => { whole = true; response.end(); });
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const uploader = await pipeline.create('RecorderEndpoint', { uri: `http://127.0.0.1:${server.address().port}/up.webm` });
    uploader.on('Error', (e) => console.error(`upload: ${e.description}`));
    await source.connect(uploader);
    await uploader.record();
    await sleep(2500);
    await uploader.stopAndWait();
    await until('all has arrived', () => whole);
    server.close();
    fs.writeFileSync(`${folder}/${name}-uploaded.webm`, Buffer.concat(chunks));
    media(`${name}-uploaded.webm`, halves);

    // A source that ends stops who asked for it.
    const short = await player(pipeline, 'short.webm');
    const ender = await pipeline.create('RecorderEndpoint', { uri: file(`${name}-ended.webm`), stopOnEndOfStream: true });
    await short.connect(ender);
    const stopped = next(ender, 'Stopped');
    await ender.record();
    await short.play();
    await stopped;
    media(`${name}-ended.webm`, { left: 'red', right: 'blue', minFrames: 40 });
  },

  async HttpPostEndpoint(client, pipeline) {
    const post = await pipeline.create('HttpPostEndpoint', { disconnectionTimeout: 2, useEncodedMedia: false });
    await element(post, 'HttpPostEndpoint');
    const to = await post.getUrl();
    assert.match(to, /^http:\/\/.*\/[0-9a-f-]{36}$/);
    const started = next(post, 'MediaSessionStarted');
    const ended = next(post, 'EndOfStream', () => true, 30000);
    const terminated = next(post, 'MediaSessionTerminated', () => true, 40000);
    const recorder = await pipeline.create('RecorderEndpoint', { uri: file(`${name}-posted.webm`) });
    await post.connect(recorder);
    await recorder.record();
    const body = fs.readFileSync(`${folder}/short.webm`);
    const answer = new Promise((resolve, reject) => http.request(to, { method: 'POST', headers: { 'Content-Type': 'video/webm', 'Content-Length': body.length } }, (r) => { r.resume(); resolve(r.statusCode); }).on('error', reject).end(body));
    await started;
    await ended;
    assert.strictEqual(await answer, 200);
    await recorder.stopAndWait();
    media(`${name}-posted.webm`, { left: 'red', right: 'blue', tones: [440], minFrames: 40 });
    await terminated;
  },

  async RtpEndpoint(client, pipeline) {
    for (const crypto of [undefined, { crypto: 'AES_128_CM_HMAC_SHA1_80', key: '0123456789abcdefghijklmnopqrst' }]) {
      const f = `${name}-rtp${crypto ? '-srtp' : ''}.webm`;
      const options = crypto ? { crypto: kurento.getComplexType('SDES')(crypto) } : {};
      const [a, b] = [await pipeline.create('RtpEndpoint', options), await pipeline.create('RtpEndpoint', options)];
      if (!crypto) await element(b, 'RtpEndpoint');
      await properties(a, {
        maxVideoRecvBandwidth: 2000, maxAudioRecvBandwidth: 100, minVideoRecvBandwidth: 50, minVideoSendBandwidth: 50,
        maxVideoSendBandwidth: 2000, mediaState: null, connectionState: null, mtu: 1100, rembParams: null,
      });
      const source = await player(pipeline, 'halves.webm');
      await source.connect(a);
      const started = next(b, 'MediaSessionStarted');
      const connected = next(b, 'MediaStateChanged', (e) => e.newState === 'CONNECTED');
      await refused(40202, () => a.getLocalSessionDescriptor());
      const offer = await a.generateOffer();
      await refused(40208, () => a.generateOffer());
      const answered = await b.processOffer(offer);
      await a.processAnswer(answered);
      await started;
      if (crypto) assert.match(answered, /a=crypto:/);
      assert.match(await a.getRemoteSessionDescriptor(), /^v=0/);
      assert.match(await b.getLocalSessionDescriptor(), /^v=0/);
      await source.play();
      await connected;
      const recording = record(pipeline, b, f, 3500);
      await sleep(1500);
      if (!six) await a.requestKeyframe();
      const types = Object.values(await b.getStats()).map((s) => s.type).sort();
      assert.ok(types.includes('inboundrtp'), types.join());
      await recording;
      media(f, halves);
    }
    await refused(40107, () => pipeline.create('RtpEndpoint', { crypto: kurento.getComplexType('SDES')({ crypto: 'AES_128_CM_HMAC_SHA1_80', key: 'short' }) }), /key size/i);
    if (!six) await refused(40111, async () => (await pipeline.create('RtpEndpoint')).requestKeyframe());
    const one = await pipeline.create('RtpEndpoint');
    await refused(40201, () => one.processOffer(''));
    await refused(40209, () => one.processAnswer('v=0\r\n'));
  },

  async WebRtcEndpoint(client, pipeline) {
    const [a, b] = [await pipeline.create('WebRtcEndpoint', { useDataChannels: true }), await pipeline.create('WebRtcEndpoint', { useDataChannels: true, certificateKeyType: 'ECDSA', qosDscp: 'AUDIO_HIGH' })];
    await element(a, 'WebRtcEndpoint');
    await properties(a, {
      maxVideoRecvBandwidth: 2000, maxAudioRecvBandwidth: 100, minVideoRecvBandwidth: 50, minVideoSendBandwidth: 50, maxVideoSendBandwidth: 2000,
      mediaState: null, connectionState: null, mtu: 1100, rembParams: null, networkInterfaces: '', stunServerAddress: null, stunServerPort: 3479,
      turnUrl: null, iceTcp: true, ICECandidatePairs: null, iceConnectionState: null,
    });
    if (!six) await properties(a, { externalIPv4: null, externalIPv6: null, dtlsConnectionState: null });
    const trickle = (from, to) => from.on(event('IceCandidateFound', 'OnIceCandidate'), (e) => to.addIceCandidate(IceCandidate(e.candidate)));
    trickle(a, b);
    trickle(b, a);
    const waits = [
      next(a, event('IceGatheringDone', 'OnIceGatheringDone')),
      next(a, event('IceComponentStateChanged', 'OnIceComponentStateChanged'), (e) => e.state === 'READY'),
      next(a, 'NewCandidatePairSelected'), next(a, 'ConnectionStateChanged', (e) => e.newState === 'CONNECTED'),
      next(b, 'MediaStateChanged', (e) => e.newState === 'CONNECTED'), next(b, 'MediaSessionStarted'),
      next(a, event('DataChannelOpened', 'OnDataChannelOpened')),
    ];
    if (!six) waits.push(next(a, 'DtlsConnectionStateChange', (e) => e.state === 'CONNECTED'));
    const source = await player(pipeline, 'halves.webm');
    await source.connect(a);
    await source.play();
    const offer = await a.generateOffer();
    assert.match(offer, /m=application/);
    await a.processAnswer(await b.processOffer(offer));
    await a.gatherCandidates();
    await b.gatherCandidates();
    await waits[3];
    await a.createDataChannel('chat', true, -1, -1, 'json');
    await Promise.all(waits);
    await refused(40107, () => a.createDataChannel('both', true, 10, 10), /Syntax error/);
    await record(pipeline, b, `${name}-webrtc.webm`, 4000);
    media(`${name}-webrtc.webm`, halves);
    assert.ok((await a.getICECandidatePairs()).length >= 1);
    assert.ok((await a.getIceConnectionState()).length >= 1);
    const rows = Object.values(await a.getStats()).map((s) => s.type);
    for (const t of ['inboundrtp', 'outboundrtp', 'datachannel', 'session']) assert.ok(rows.includes(t), `${t} is not in ${rows}`);
    const closed = next(a, event('DataChannelClosed', 'OnDataChannelClosed'));
    const opened = Object.values(await a.getStats()).find((s) => s.type === 'datachannel');
    await a.closeDataChannel(Number(opened.datachannelid));
    await closed;
    await refused(40111, async () => (await pipeline.create('WebRtcEndpoint')).createDataChannel('x'));
    await refused(40208, () => a.generateOffer());
  },

  async Composite(client, pipeline) {
    const hub = await pipeline.create('Composite', six ? {} : { width: 640, height: 480, framerate: 15 });
    const ports = [];
    for (const f of ['halves.webm', 'green.mp4']) {
      const port = await hub.createHubPort();
      ports.push(port);
      const p = await player(pipeline, f);
      await p.connect(port);
      await p.play();
    }
    const out = await hub.createHubPort();
    await element(out, 'HubPort');
    assert.match(await hub.getGstreamerDot(), /digraph/);
    await sleep(1500);
    await record(pipeline, out, `${name}-composite.webm`, 4000);
    // Two cells side by side: halves left, green right; both tones.
    media(`${name}-composite.webm`, { pixels: [[0.12, 0.5, 'red'], [0.38, 0.5, 'blue'], [0.75, 0.5, 'green']], tones: [440, 1000] });
    await record(pipeline, ports[0], `${name}-mixminus.webm`, 2500);
    media(`${name}-mixminus.webm`, { tones: [1000], silent: [440] });
    await ports[0].release();
    await sleep(1500);
    await record(pipeline, out, `${name}-alone.webm`, 2500);
    media(`${name}-alone.webm`, { left: 'green', right: 'green', tones: [1000], silent: [440] });
  },

  async Dispatcher(client, pipeline) {
    const hub = await pipeline.create('Dispatcher');
    const [one, two, out] = [await hub.createHubPort(), await hub.createHubPort(), await hub.createHubPort()];
    for (const [f, port] of [['halves.webm', one], ['blue.webm', two]]) {
      const p = await player(pipeline, f);
      await p.connect(port);
      await p.play();
    }
    await hub.connect(one, out);
    await record(pipeline, out, `${name}-dispatch1.webm`, 2500);
    media(`${name}-dispatch1.webm`, halves);
    await hub.connect(two, out);
    await record(pipeline, out, `${name}-dispatch2.webm`, 2500);
    media(`${name}-dispatch2.webm`, { left: 'blue', right: 'blue', tones: [700], silent: [440] });
    const stranger = await (await pipeline.create('Dispatcher')).createHubPort();
    await refused(40004, () => hub.connect(stranger, out));
  },

  async DispatcherOneToMany(client, pipeline) {
    const hub = await pipeline.create('DispatcherOneToMany');
    const [one, two, out] = [await hub.createHubPort(), await hub.createHubPort(), await hub.createHubPort()];
    for (const [f, port] of [['halves.webm', one], ['blue.webm', two]]) {
      const p = await player(pipeline, f);
      await p.connect(port);
      await p.play();
    }
    for (const [port, f, want] of [[one, 'one', halves], [two, 'two', { left: 'blue', right: 'blue', tones: [700] }]]) {
      await hub.setSource(port);
      await record(pipeline, out, `${name}-many-${f}.webm`, 2500);
      media(`${name}-many-${f}.webm`, want);
    }
    const quiet = next(out, event('MediaFlowOutStateChanged', 'MediaFlowOutStateChange'), (e) => e.state === 'NOT_FLOWING');
    await hub.removeSource();
    await quiet;
  },

  async Mixer(client, pipeline) {
    const hub = await pipeline.create('Mixer');
    const [one, two, out] = [await hub.createHubPort(), await hub.createHubPort(), await hub.createHubPort()];
    for (const [f, port] of [['halves.webm', one], ['blue.webm', two]]) {
      const p = await player(pipeline, f);
      await p.connect(port);
      await p.play();
    }
    await hub.connect('VIDEO', one, out);
    await hub.connect('AUDIO', one, out);
    await hub.connect('AUDIO', two, out);
    await record(pipeline, out, `${name}-mixer.webm`, 3500);
    media(`${name}-mixer.webm`, { left: 'red', right: 'blue', tones: [440, 700] });
    await hub.disconnect('AUDIO', two, out);
    await sleep(500);
    await record(pipeline, out, `${name}-mixer1.webm`, 2500);
    media(`${name}-mixer1.webm`, { tones: [440], silent: [700] });
    await refused(40005, () => hub.connect('DATA', one, out));
    await refused(40005, () => hub.disconnect('VIDEO', one, out));
  },

  async AlphaBlending(client, pipeline) {
    const hub = await pipeline.create('AlphaBlending');
    const [one, two, out] = [await hub.createHubPort(), await hub.createHubPort(), await hub.createHubPort()];
    await hub.setMaster(one, 0);
    await hub.setPortProperties(0.5, 0.5, 1, 0.5, 0.5, two);
    for (const [f, port] of [['halves.webm', one], ['green.mp4', two]]) {
      const p = await player(pipeline, f);
      await p.connect(port);
      await p.play();
    }
    await sleep(1500);
    await record(pipeline, out, `${name}-alpha.webm`, 3000, 'WEBM_VIDEO_ONLY');
    media(`${name}-alpha.webm`, { pixels: [[0.25, 0.25, 'red'], [0.75, 0.2, 'blue'], [0.75, 0.75, 'green']] });
  },

  async GStreamerFilter(client, pipeline) {
    const flip = await pipeline.create('GStreamerFilter', { command: 'videoflip method=horizontal-flip', filterType: 'VIDEO' });
    await element(flip, 'GStreamerFilter');
    assert.match(await flip.getCommand(), /videoflip/);
    const source = await player(pipeline, 'halves.webm');
    await source.connect(flip);
    await source.play();
    await record(pipeline, flip, `${name}-flip.webm`, 3500);
    media(`${name}-flip.webm`, { left: 'blue', right: 'red', tones: [440] });
    await flip.setElementProperty('method', 'none');
    await record(pipeline, flip, `${name}-noflip.webm`, 2500);
    media(`${name}-noflip.webm`, halves);
    await refused(40001, () => flip.setElementProperty('nothing', '1'));
    await refused(40001, () => pipeline.create('GStreamerFilter', { command: 'videoflip ! videobalance' }), /only one element/);
    await refused(40001, () => pipeline.create('GStreamerFilter', { command: 'filesrc location=/etc/passwd' }));
    const loud = await pipeline.create('GStreamerFilter', { command: 'volume volume=0', filterType: 'AUDIO' });
    await source.connect(loud);
    await record(pipeline, loud, `${name}-mute.webm`, 2500);
    media(`${name}-mute.webm`, { left: 'red', right: 'blue', silent: [440] });
  },

  async ImageOverlayFilter(client, pipeline) {
    const filter = await pipeline.create('ImageOverlayFilter');
    await element(filter, 'ImageOverlayFilter');
    await invoke(filter, 'addImage', { id: 'logo', uri: file('white.png'), offsetXPercent: 0.6, offsetYPercent: 0.1, widthPercent: 0.3, heightPercent: 0.3, keepAspectRatio: false, center: false });
    const source = await player(pipeline, 'halves.webm');
    await source.connect(filter);
    await source.play();
    await record(pipeline, filter, `${name}-logo.webm`, 3500);
    media(`${name}-logo.webm`, { pixels: [[0.75, 0.25, 'white'], [0.25, 0.25, 'red'], [0.75, 0.7, 'blue']] });
    await invoke(filter, 'removeImage', { id: 'logo' });
    await invoke(filter, 'removeImage', { id: 'unknown' });
    await record(pipeline, filter, `${name}-nologo.webm`, 2500);
    media(`${name}-nologo.webm`, halves);
  },

  async FaceOverlayFilter(client, pipeline) {
    const filter = await pipeline.create('FaceOverlayFilter');
    await element(filter, 'FaceOverlayFilter');
    await filter.setOverlayedImage(file('green.png'), 0.0, 0.0, 1.0, 1.0);
    const source = await player(pipeline, 'face.webm');
    await source.connect(filter);
    await source.play();
    await sleep(1000);
    await record(pipeline, filter, `${name}-face.webm`, 4000, 'WEBM_VIDEO_ONLY');
    media(`${name}-face.webm`, { pixels: [[0.5, 0.5, 'green']] });
    await filter.unsetOverlayedImage();
    await sleep(500);
    await record(pipeline, filter, `${name}-noface.webm`, 2500, 'WEBM_VIDEO_ONLY');
    media(`${name}-noface.webm`, { pixels: [[0.5, 0.5, 'not green']] });
  },

  async ZBarFilter(client, pipeline) {
    const filter = await pipeline.create('ZBarFilter');
    await element(filter, 'ZBarFilter');
    const found = next(filter, 'CodeFound');
    const source = await player(pipeline, 'qr.webm');
    await source.connect(filter);
    await source.play();
    const code = await found;
    assert.strictEqual(code.codeType, 'QR-Code');
    assert.strictEqual(code.value, 'https://govidu.example/qr?a=1&b=2');
  },

  async formats(client, pipeline) {
    const source = await player(pipeline, 'halves.webm');
    const transcoding = next(source, event('MediaTranscodingStateChanged', 'MediaTranscodingStateChange'), (e) => e.state === 'TRANSCODING' && e.mediaType === 'VIDEO');
    await source.setVideoFormat(kurento.getComplexType('VideoCaps')({ codec: 'H264', framerate: kurento.getComplexType('Fraction')({ numerator: 15, denominator: 1 }) }));
    await source.setAudioFormat(kurento.getComplexType('AudioCaps')({ codec: 'OPUS', bitrate: 64000 }));
    await source.play();
    const recording = record(pipeline, source, `${name}-forced.mkv`, 3000, 'MKV');
    await transcoding;
    await recording;
    media(`${name}-forced.mkv`, { ...halves, video: 'h264' });
  },
};

(async () => {
  const client = wrap(await kurento(url));
  let failed = 0;
  for (const [title, run] of Object.entries(cases)) {
    if (only.length > 0 && !only.includes(title)) continue;
    const pipeline = await client.create('MediaPipeline');
    const began = Date.now();
    try {
      await run(client, pipeline);
      console.log(`ok ${title} (${Date.now() - began} ms)`);
    } catch (e) {
      failed++;
      console.log(`FAILED ${title}: ${e.stack ?? e}`);
    }
    await pipeline.release();
  }
  client.close();
  console.log(failed ? `${failed} failed` : 'done');
  process.exit(failed ? 1 : 0);
})();
