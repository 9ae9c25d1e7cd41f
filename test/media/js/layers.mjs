// Video in layers: Chromium publishes each kind there is to a LayeredEndpoint, and
// others watch what they ask for. What they decode is judged.
// Usage: node layers.mjs <kms url> <folder of files> strict|brief [case …]; brief judges no times.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import WebSocket from 'ws';
import { page, close as closePage } from './page.mjs';

const [url, folder, how, ...only] = process.argv.slice(2);
const strict = how === 'strict', switches = strict ? 6 : 2;
process.on('unhandledRejection', (e) => { console.error(e); process.exit(1); });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The client of Kurento knows no module of ours: this is its protocol.
const socket = new WebSocket(url);
await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
let sessionId, lastId = 0;
const calls = new Map(), listeners = new Map();
socket.onmessage = ({ data }) => {
  const m = JSON.parse(data);
  if (m.method === 'onEvent') return listeners.get(`${m.params.value.object} ${m.params.value.type}`)?.(m.params.value.data);
  calls.get(m.id)?.(m);
  calls.delete(m.id);
};
async function rpc(method, params) {
  const id = ++lastId;
  const m = await new Promise((resolve) => {
    calls.set(id, resolve);
    socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, sessionId } }));
  });
  if (m.error) throw new Error(`${method} ${JSON.stringify(params)}: ${JSON.stringify(m.error)}`);
  sessionId ??= m.result.sessionId;
  return m.result.value;
}
const create = (type, constructorParams) => rpc('create', { type, constructorParams });
const invoke = (object, operation, operationParams = {}) => rpc('invoke', { object, operation, operationParams });
const on = (object, type, f) => { listeners.set(`${object} ${type}`, f); return rpc('subscribe', { object, type }); };

/** Connects a peer of the page with a new endpoint; how is what it sends, or nothing. */
async function connect(pipeline, name, how, codec, described) {
  const endpoint = await create('LayeredEndpoint', { mediaPipeline: pipeline, simulcast: true });
  for (const bound of ['setMaxVideoRecvBandwidth', 'setMaxVideoSendBandwidth']) await invoke(endpoint, bound, { [`${bound[3].toLowerCase()}${bound.slice(4)}`]: 0 });
  const found = [];
  const gathered = new Promise((resolve) => on(endpoint, 'IceGatheringDone', resolve));
  await on(endpoint, 'IceCandidateFound', (e) => found.push(e.candidate.candidate));
  const offer = await page.evaluate(async ([id, how, wanted, described]) => {
    const peer = new RTCPeerConnection();
    (window.peers ??= {})[id] = peer;
    let t;
    if (how) {
      const { width, height, frameRate, encodings } = how;
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width, height, frameRate } });
      peer.addTransceiver(stream.getAudioTracks()[0], { direction: 'sendonly', streams: [stream] });
      t = peer.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', streams: [stream], sendEncodings: encodings });
    } else {
      peer.addTransceiver('audio', { direction: 'recvonly' });
      t = peer.addTransceiver('video', { direction: 'recvonly' });
    }
    const mime = `video/${wanted}`.toLowerCase();
    t.setCodecPreferences((how ? RTCRtpSender : RTCRtpReceiver).getCapabilities('video').codecs.filter((c) => {
      const m = c.mimeType.toLowerCase();
      if (m === 'video/rtx') return true;
      if (m !== mime) return false;
      return m === 'video/h264' ? c.sdpFmtpLine.includes('42e01f') && c.sdpFmtpLine.includes('packetization-mode=1') :
        m === 'video/vp9' ? c.sdpFmtpLine === 'profile-id=0' : m === 'video/av1' ? !c.sdpFmtpLine || !c.sdpFmtpLine.includes('profile=1') : true;
    }));
    if (!how) {
      const video = peer.video = Object.assign(document.createElement('video'), { autoplay: true, muted: true, srcObject: new MediaStream() });
      document.body.append(video);
      peer.ontrack = ({ track }) => video.srcObject.addTrack(track);
      peer.gap = { last: 0, worst: 0 };
      const next = () => {
        const now = performance.now();
        if (peer.gap.last) peer.gap.worst = Math.max(peer.gap.worst, now - peer.gap.last);
        peer.gap.last = now;
        video.requestVideoFrameCallback(next);
      };
      video.requestVideoFrameCallback(next);
    }
    if (described && !how) { // else Chromium does not offer to receive the dependency descriptor
      t.setHeaderExtensionsToNegotiate(t.getHeaderExtensionsToNegotiate().map((x) => x.uri.includes('dependency-descriptor') ? { ...x, direction: 'sendrecv' } : x));
    }
    const offer = await peer.createOffer();
    await peer.setLocalDescription(offer);
    if (peer.iceGatheringState !== 'complete') await new Promise((r) => { peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && r(); });
    return peer.localDescription.sdp;
  }, [name, how, codec, described]);
  const answer = await invoke(endpoint, 'processOffer', { offer });
  await invoke(endpoint, 'gatherCandidates');
  await gathered;
  await page.evaluate(async ([id, sdp, candidates]) => {
    await window.peers[id].setRemoteDescription({ type: 'answer', sdp });
    for (const candidate of candidates) await window.peers[id].addIceCandidate({ candidate, sdpMLineIndex: 0 });
  }, [name, answer, found]);
  if (process.env.SHOW_SDP) console.log(name, offer.split('\r\n').filter((l) => !/candidate/.test(l)).join('\n'), answer.split('\r\n').filter((l) => !/candidate/.test(l)).join('\n'));
  return endpoint;
}

/** What a watching peer has decoded so far. */
const look = (name) => page.evaluate(async (id) => {
  const peer = window.peers[id];
  const stats = [...(await peer.getStats()).values()];
  const v = stats.find((s) => s.type === 'inbound-rtp' && s.kind === 'video') || {};
  return {
    at: v.timestamp, height: v.frameHeight ?? 0, frames: v.framesDecoded ?? 0, keys: v.keyFramesDecoded ?? 0, bytes: v.bytesReceived ?? 0, plis: v.pliCount ?? 0,
    nacks: v.nackCount ?? 0, dropped: v.framesDropped ?? 0, freezes: v.freezeCount ?? 0, received: v.framesReceived ?? 0, lost: v.packetsLost ?? 0,
    codec: stats.find((c) => c.id === v.codecId)?.mimeType, mode: v.scalabilityMode, decoder: v.decoderImplementation, state: peer.connectionState,
  };
}, name);
const sent = (name) => page.evaluate(async (id) => [...(await window.peers[id].getStats()).values()].filter((s) => s.type === 'outbound-rtp' && s.kind === 'video')
  .map((s) => ({ rid: s.rid, mode: s.scalabilityMode, height: s.frameHeight, fps: s.framesPerSecond, target: s.targetBitrate, encoder: s.encoderImplementation, plis: s.pliCount, active: s.active, limit: s.qualityLimitationReason })), name);

async function until(what, ms, f) {
  let why;
  for (const end = Date.now() + (strict ? ms : 3 * ms); Date.now() < end;) {
    why = await f();
    if (why === true) return;
    await sleep(50);
  }
  throw new Error(`${what}: ${JSON.stringify(why)}`);
}

/** Frames per second and bits per second over some time. */
async function rates(name, ms) {
  const a = await look(name);
  await sleep(ms);
  const b = await look(name);
  const s = (b.at - a.at) / 1000;
  return { height: b.height, fps: (b.frames - a.frames) / s, kbps: (b.bytes - a.bytes) * 8 / s / 1000 };
}

const prefer = (endpoint, spatial, temporal = -1, size = {}) => invoke(endpoint, 'setPreferredLayer', { spatial, temporal, ...size });

/** A recording of the publisher is decoded to its end, in its full size. */
async function record(pipeline, publisher, name, height) {
  const recorder = await create('RecorderEndpoint', { mediaPipeline: pipeline, uri: `file://${folder}/${name}.webm`, mediaProfile: 'WEBM_VIDEO_ONLY' });
  await invoke(publisher, 'connect', { sink: recorder, mediaType: 'VIDEO' });
  await invoke(recorder, 'record');
  await sleep(5000);
  await invoke(recorder, 'stopAndWait');
  await rpc('release', { object: recorder });
  const file = `${folder}/${name}.webm`;
  const probe = JSON.parse(execFileSync('ffprobe', ['-v', 'error', '-of', 'json', '-show_streams', file])).streams[0];
  const frames = JSON.parse(execFileSync('ffprobe', ['-v', 'error', '-of', 'json', '-show_frames', '-show_entries', 'frame=width,height,pkt_dts_time', file])).frames;
  const sizes = {};
  for (const f of frames) sizes[f.height] = (sizes[f.height] ?? 0) + 1;
  console.log(`${name}: recorded ${probe.codec_name} ${probe.width}x${probe.height}, frames by height ${JSON.stringify(sizes)}`);
  assert.equal(probe.height, height);
  execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-']);
  assert.deepEqual(Object.keys(sizes), [String(height)]);
  assert.ok(frames.length > 20, `${frames.length} frames in 5 s`);
}

/** One kind of publisher and who watches it. */
async function run(name, { codec, heights, temporals, low, described = true, bare, ...how }) {
  if (only.length && !only.includes(name)) return;
  const begin = Date.now();
  const pipeline = await create('MediaPipeline', {});
  const publisher = await connect(pipeline, 'publisher', how, codec);
  const viewer = await connect(pipeline, 'viewer', null, codec, described);
  await invoke(publisher, 'connect', { sink: viewer });
  const top = bare ? 0 : heights.length - 1; // what the viewer can be sent
  let layers = [];
  try {
    await until('all layers come', 30_000, async () => {
      layers = (await invoke(publisher, 'getLayers')).filter((l) => l.active);
      return layers.length >= heights.length * temporals && layers.every((l) => l.bps > 0) || [layers, await sent('publisher'), await look('viewer')];
    });
    console.log(`${name}: ${JSON.stringify((await sent('publisher')).map((s) => [s.mode, s.height, s.fps, s.encoder]))} ${layers.map((l) => `S${l.spatial}T${l.temporal} ${l.height} ${l.frameRate.toFixed(1)} ${Math.round(l.bps / 1000)}k`).join(', ')}`);
    await until('the highest is shown', 20_000, async () => (await look('viewer')).height === heights[top] || await look('viewer'));
    for (let s = 0; s <= top; s++) {
      for (let t = strict ? 0 : temporals - 1; t < temporals; t++) {
        const asked = Date.now();
        await prefer(viewer, s, t);
        await until(`S${s}T${t} is shown`, 10_000, async () => { const x = await look('viewer'); return x.height === heights[s] || x; });
        if (!strict) {
          const { frames } = await look('viewer');
          await until(`S${s}T${t} goes on`, 10_000, async () => { const x = await look('viewer'); return x.frames >= frames + 3 && x.height === heights[s] || x; });
          continue;
        }
        const took = Date.now() - asked;
        await sleep(Math.max(0, 2000 - took));
        const r = await rates('viewer', 2000);
        const { frameRate: fps } = (await invoke(publisher, 'getLayers')).find((l) => l.spatial === s && l.temporal === t);
        console.log(`${name}: S${s}T${t} after ${took} ms: ${r.height} high, ${r.fps.toFixed(1)} fps of ${fps.toFixed(1)}, ${r.kbps.toFixed(0)} kbit/s`);
        assert.equal(r.height, heights[s]);
        assert.ok(Math.abs(r.fps - fps) < 0.3 * fps + 1, `S${s}T${t}: ${r.fps} frames/s, want ${fps}`);
        if (s === 0 && low) assert.ok(r.kbps < low, `S0T${t}: ${r.kbps} kbit/s, want at most ${low}`);
      }
    }
    await prefer(viewer, top);
    await until('the highest again', 10_000, async () => (await look('viewer')).height === heights[top] || await look('viewer'));
    if (strict) await sleep(500);
    const before = await look('viewer');
    await page.evaluate(() => { const p = window.peers.viewer; p.gap = { last: 0, worst: 0 }; });
    let slowest = 0;
    for (let n = 0; n < switches; n++) {
      const s = n % 2 ? top : n % 4 && top > 1 ? 1 : 0;
      const asked = Date.now();
      await prefer(viewer, s);
      await until(`switch ${n}: S${s} is shown`, 10_000, async () => { const x = await look('viewer'); return x.height === heights[s] || [x, await invoke(viewer, 'getCurrentLayer'), await sent('publisher')]; });
      slowest = Math.max(slowest, Date.now() - asked);
      await sleep(200);
    }
    const after = await look('viewer');
    const worst = await page.evaluate(() => window.peers.viewer.gap.worst);
    const d = (k) => after[k] - before[k];
    console.log(`${name}: ${switches} switches, the slowest ${slowest} ms: ${d('frames')} frames decoded, ${d('received') - d('frames')} more received, ${d('dropped')} dropped, ${d('keys')} keys, ` +
      `${d('plis')} PLIs, ${d('nacks')} NACKs, ${d('freezes')} freezes, longest pause ${worst.toFixed(0)} ms (${after.decoder})`);
    assert.ok(d('plis') <= (strict ? 1 : 2 * switches), `the decoder asked ${d('plis')} times for a keyframe`);
    if (strict) assert.ok(d('dropped') <= d('frames') / 50, `${d('dropped')} frames dropped`);
    if (strict) assert.ok(worst <= 500, `a pause of ${worst} ms`);
    if (how.record) await record(pipeline, publisher, name, heights.at(-1));
    console.log(`ok ${name} in ${((Date.now() - begin) / 1000).toFixed(0)} s`);
  } catch (e) {
    console.log(`FAIL ${name}: ${e.message.slice(0, 1500)}`);
    failed.push(name);
  }
  await page.evaluate(() => { for (const id of Object.keys(window.peers)) { window.peers[id].close(); window.peers[id].video?.remove(); delete window.peers[id]; } });
  await rpc('release', { object: pipeline });
}

const failed = [];
const scalable = (mode, maxBitrate = 1_200_000) => ({ encodings: [{ scalabilityMode: mode, maxBitrate }] });
const simulcast = (mode) => ({ encodings: [['q', 4, 120_000], ['h', 2, 350_000], ['f', 1, 900_000]].map(([rid, scaleResolutionDownBy, maxBitrate]) => ({ rid, scaleResolutionDownBy, maxBitrate, scalabilityMode: mode })) });
const big = { width: 1024, height: 576, frameRate: 15, heights: [144, 288, 576] };
const one = strict ? { ...big, heights: [576] } : { width: 320, height: 180, frameRate: 15, heights: [180] };
await run('vp8-simulcast', { codec: 'VP8', ...big, temporals: 1, low: 250, ...simulcast('L1T1') });
await run('vp8-simulcast-t3', { codec: 'VP8', ...big, temporals: 3, low: 250, ...simulcast('L1T3') });
await run('h264-simulcast', { codec: 'H264', ...big, temporals: 1, low: 250, ...simulcast('L1T1') });
await run('vp9-l1t3', { codec: 'VP9', ...big, heights: [576], temporals: 3, ...scalable('L1T3') });
await run('vp9-l2t3', { codec: 'VP9', ...big, heights: [288, 576], temporals: 3, record: true, ...scalable('L2T3') });
await run('vp9-l3t3', { codec: 'VP9', ...big, temporals: 3, low: 250, record: true, ...scalable('L3T3') });
await run('vp9-l3t3-key', { codec: 'VP9', ...big, temporals: 3, low: 250, record: true, ...scalable('L3T3_KEY') });
await run('vp9-simulcast', { codec: 'VP9', ...big, temporals: 1, low: 250, ...simulcast('L1T1') });
await run('av1-l1t3', { codec: 'AV1', ...one, temporals: 3, ...scalable('L1T3') });
await run('av1-l3t3', { codec: 'AV1', ...big, temporals: 3, low: 250, ...scalable('L3T3') });
await run('av1-l3t3-key', { codec: 'AV1', ...big, temporals: 3, low: 250, record: true, ...scalable('L3T3_KEY') });
await run('av1-l3t3-bare', { codec: 'AV1', ...big, described: false, bare: true, temporals: 3, ...scalable('L3T3') });
await run('av1-simulcast', { codec: 'AV1', ...big, temporals: 1, low: 250, ...simulcast('L1T1') });
assert.equal(failed.join(), '');
socket.close();
await closePage();
console.log('done');
process.exit(0);
