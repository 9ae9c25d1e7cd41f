// Chromium restarts ICE of a publisher and of a receiver while media flows, and
// connects by TCP alone: what it decodes is judged, not what calls return.
// Usage: node restart.mjs <kms url>
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { page, close as closePage } from './page.mjs';

const kurento = createRequire(import.meta.url)('kurento-client');
const [url] = process.argv.slice(2);
process.on('unhandledRejection', (e) => { console.error(e); process.exit(1); });

const client = await kurento(url);

/** Makes a peer in the page and what it needs to say. */
const make = (name, sends) => page.evaluate(async ([id, send]) => {
  const peer = new RTCPeerConnection();
  (window.peers ??= {})[id] = peer;
  peer.seen = [];
  peer.oniceconnectionstatechange = () => peer.seen.push(peer.iceConnectionState);
  peer.gathered = async () => {
    if (peer.iceGatheringState !== 'complete') {
      await new Promise((r) => peer.addEventListener('icegatheringstatechange', () => peer.iceGatheringState === 'complete' && r()));
    }
    return peer.localDescription.sdp;
  };
  const stream = send && await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240, frameRate: 20 } });
  peer.tracks = stream ? stream.getTracks() : [];
  peer.video = Object.assign(document.createElement('video'), { autoplay: true, srcObject: new MediaStream() });
  document.body.append(peer.video);
  peer.ontrack = ({ track }) => peer.video.srcObject.addTrack(track);
}, [name, sends]);

const bare = (sdp) => sdp.split('\r\n').filter((line) => !line.startsWith('a=candidate')).join('\r\n');

/** Connects a new endpoint with a peer of the page; tcp: by TCP alone; answers: the endpoint offers. */
async function connect(pipeline, name, sends, { tcp = false, answers = false } = {}) {
  await make(name, sends);
  const endpoint = await pipeline.create('WebRtcEndpoint');
  const found = [];
  const gathered = new Promise((resolve) => endpoint.on('IceGatheringDone', resolve));
  endpoint.on('IceCandidateFound', (e) => found.push(e.candidate.candidate));
  const add = async () => {
    await endpoint.gatherCandidates();
    await gathered;
    const use = tcp ? found.filter((c) => / tcp /i.test(c)) : found;
    assert.ok(use.length > 0, 'no candidate');
    await page.evaluate(async ([id, candidates]) => {
      for (const candidate of candidates) await window.peers[id].addIceCandidate({ candidate, sdpMLineIndex: 0 });
    }, [name, use]);
  };
  if (answers) {
    const offer = await endpoint.generateOffer();
    const answer = await page.evaluate(async ([id, sdp]) => {
      const peer = window.peers[id];
      for (const track of peer.tracks) peer.addTrack(track);
      await peer.setRemoteDescription({ type: 'offer', sdp });
      await peer.setLocalDescription();
      return peer.gathered();
    }, [name, offer]);
    await endpoint.processAnswer(answer);
    await add();
    return endpoint;
  }
  const offer = await page.evaluate(async ([id, send]) => {
    const peer = window.peers[id];
    for (const kind of ['audio', 'video']) {
      peer.addTransceiver(send ? peer.tracks.find((t) => t.kind === kind) : kind, { direction: send ? 'sendonly' : 'recvonly' });
    }
    await peer.setLocalDescription();
    return peer.gathered();
  }, [name, sends]);
  const answer = await endpoint.processOffer(tcp ? bare(offer) : offer);
  await page.evaluate(([id, sdp]) => window.peers[id].setRemoteDescription({ type: 'answer', sdp }), [name, answer]);
  await add();
  return endpoint;
}

const look = (name) => page.evaluate(async (id) => {
  const peer = window.peers[id];
  const stats = [...(await peer.getStats()).values()];
  const v = stats.find((s) => s.type === 'inbound-rtp' && s.kind === 'video');
  const a = stats.find((s) => s.type === 'inbound-rtp' && s.kind === 'audio');
  const t = stats.find((s) => s.type === 'transport');
  const pair = stats.find((s) => s.id === t?.selectedCandidatePairId);
  const local = stats.find((s) => s.id === pair?.localCandidateId);
  return {
    frames: v?.framesDecoded ?? 0, keys: v?.keyFramesDecoded, frozen: v?.totalFreezesDuration ?? 0, ssrc: v?.ssrc, plis: v?.pliCount,
    sound: a?.packetsReceived ?? 0, ice: peer.iceConnectionState, seen: peer.seen, ufrag: t?.iceLocalUsernameFragment, protocol: local?.protocol,
    pair: pair?.state, dtls: t?.dtlsState,
  };
}, name);

async function until(what, name, ok) {
  let got;
  for (const end = Date.now() + 60_000; ;) {
    got = await look(name);
    if (ok(got)) return got;
    if (Date.now() > end) throw new Error(`not ${what}: ${JSON.stringify(got)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Restarts ICE of a peer while viewer decodes. */
async function restart(endpoint, name, viewer) {
  const before = await look(viewer);
  const own = await look(name);
  const offer = await page.evaluate(async (id) => {
    const peer = window.peers[id];
    peer.seen = [];
    peer.restartIce();
    await peer.setLocalDescription();
    return peer.gathered();
  }, name);
  const answer = await endpoint.processOffer(offer);
  await page.evaluate(([id, sdp]) => window.peers[id].setRemoteDescription({ type: 'answer', sdp }), [name, answer]);
  await until(`${name} connected by new credentials`, name, (s) => s.ufrag !== own.ufrag && s.pair === 'succeeded' && ['connected', 'completed'].includes(s.ice));
  const after = await until(`${viewer} goes on`, viewer, (s) => s.frames > before.frames + 60 && s.sound > before.sound + 60);
  assert.equal(after.ssrc, before.ssrc);
  assert.equal(after.dtls, 'connected');
  assert.equal(after.plis, before.plis, 'a keyframe was needed');
  const states = (await look(name)).seen;
  assert.ok(!states.includes('disconnected') && !states.includes('failed'), states.join());
  console.log(`ok ${name} restarted: ${states.join(' ')}; ${viewer} froze ${(after.frozen - before.frozen).toFixed(2)} s, keyframes ${after.keys - before.keys}`);
  return after;
}

{
  const pipeline = await client.create('MediaPipeline');
  const source = await connect(pipeline, 'publisher', true);
  const sink = await connect(pipeline, 'viewer', false);
  await source.connect(sink);
  await until('decoded', 'viewer', (s) => s.frames > 40 && s.sound > 40);
  for (let i = 0; i < 2; i++) {
    await restart(sink, 'viewer', 'viewer');
    await restart(source, 'publisher', 'viewer');
  }
  const answering = await connect(pipeline, 'answerer', true, { answers: true });
  await source.connect(answering);
  await answering.connect(sink);
  await until('decoded', 'answerer', (s) => s.frames > 40 && s.sound > 40);
  await restart(answering, 'answerer', 'answerer');
  await pipeline.release();
}
{
  const pipeline = await client.create('MediaPipeline');
  const source = await connect(pipeline, 'tcp publisher', true, { tcp: true });
  const sink = await connect(pipeline, 'tcp viewer', false, { tcp: true });
  await source.connect(sink);
  const got = await until('decoded', 'tcp viewer', (s) => s.frames > 100 && s.sound > 100);
  assert.equal(got.protocol, 'tcp');
  assert.equal((await look('tcp publisher')).protocol, 'tcp');
  console.log(`ok TCP both ways: ${got.frames} frames, frozen ${got.frozen.toFixed(2)} s, ICE ${got.seen.join(' ')}`);
  await pipeline.release();
}
client.close();
await closePage();
console.log('done');
process.exit(0);
