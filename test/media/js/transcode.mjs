// Chromium on both sides of a codec that does not fit: what it decodes is judged,
// not what calls return.
// Usage: node transcode.mjs <kms url> <url of the node's running jobs>
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { page, close as closePage } from './page.mjs';

const kurento = createRequire(import.meta.url)('kurento-client');
const [url, jobsURL] = process.argv.slice(2);
process.on('unhandledRejection', (e) => { console.error(e); process.exit(1); });

const client = await kurento(url);

/** Makes a peer in the page that sends or receives only these codecs, and connects it with a new endpoint. */
async function connect(pipeline, name, send, codecs) {
  const endpoint = await pipeline.create('WebRtcEndpoint');
  endpoint.on('Error', (e) => console.log(`${name}: Error event: ${e.description}`));
  const found = [];
  const gathered = new Promise((resolve) => endpoint.on('IceGatheringDone', resolve));
  endpoint.on('IceCandidateFound', (e) => found.push(e.candidate.candidate));
  const offer = await page.evaluate(async ([id, sends, names]) => {
    const peer = new RTCPeerConnection();
    (window.peers ??= {})[id] = peer;
    const stream = sends && await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240, frameRate: 20 } });
    for (const kind of ['audio', 'video']) {
      const t = peer.addTransceiver(sends ? stream.getTracks().find((x) => x.kind === kind) : kind, { direction: sends ? 'sendonly' : 'recvonly' });
      t.setCodecPreferences((sends ? RTCRtpSender : RTCRtpReceiver).getCapabilities(kind).codecs.filter((c) =>
        [...names, 'rtx'].some((n) => c.mimeType.toLowerCase() === `${kind}/${n}`.toLowerCase()) && (c.mimeType !== 'video/H264' || c.sdpFmtpLine.includes('42e01f'))));
    }
    if (!sends) {
      peer.video = Object.assign(document.createElement('video'), { autoplay: true, srcObject: new MediaStream() });
      document.body.append(peer.video);
      peer.ontrack = ({ track }) => peer.video.srcObject.addTrack(track);
    }
    await peer.setLocalDescription();
    if (peer.iceGatheringState !== 'complete') await new Promise((r) => { peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && r(); });
    return peer.localDescription.sdp;
  }, [name, send, codecs]);
  const answer = await endpoint.processOffer(offer);
  await endpoint.gatherCandidates();
  await gathered;
  await page.evaluate(async ([id, sdp, candidates]) => {
    await window.peers[id].setRemoteDescription({ type: 'answer', sdp });
    for (const candidate of candidates) await window.peers[id].addIceCandidate({ candidate, sdpMLineIndex: 0 });
  }, [name, answer, found]);
  return endpoint;
}

/** Waits until name has decoded frames and sound, and tells in which codecs. */
async function decodes(name, video, audio, frames = 20) {
  const look = () => page.evaluate(async ([id, want]) => {
    const peer = window.peers[id];
    const stats = [...(await peer.getStats()).values()];
    const of = (kind) => stats.find((s) => s.type === 'inbound-rtp' && s.kind === kind);
    const codec = (s) => stats.find((c) => c.id === s?.codecId)?.mimeType;
    const [v, a] = [of('video'), of('audio')];
    const now = { video: codec(v), audio: codec(a), frames: v?.framesDecoded, energy: a?.totalAudioEnergy, width: v?.frameWidth, keys: v?.keyFramesDecoded, packets: v?.packetsReceived, state: peer.connectionState };
    if (v?.framesDecoded >= want && a?.totalAudioEnergy > 0) {
      const c = new OffscreenCanvas(64, 48).getContext('2d', { willReadFrequently: true });
      c.drawImage(peer.video, 0, 0, 64, 48);
      const { data } = c.getImageData(0, 0, 64, 48);
      let low = 255, high = 0;
      for (let i = 1; i < data.length; i += 4) { low = Math.min(low, data[i]); high = Math.max(high, data[i]); }
      now.spread = high - low;
    }
    return now;
  }, [name, frames]);
  let got;
  for (const end = Date.now() + 60_000; !(got?.spread > 40);) {
    if (Date.now() > end) throw new Error(`${name} does not decode: ${JSON.stringify(got)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    got = await look();
  }
  assert.equal(got.video, `video/${video}`);
  assert.equal(got.audio, `audio/${audio}`);
  console.log(`ok ${name}: ${got.frames} frames of ${got.video}, ${got.audio}`);
}

const close = (...names) => page.evaluate((ids) => ids.forEach((id) => { window.peers[id].close(); delete window.peers[id]; }), names);
const jobs = async () => (await (await fetch(jobsURL)).json());

for (const [from, to] of [['VP8', 'H264'], ['H264', 'VP8'], ['VP8', 'VP9']]) {
  const pipeline = await client.create('MediaPipeline');
  const transcoding = [];
  const source = await connect(pipeline, 'publisher', true, [from, 'opus']);
  source.on('MediaTranscodingStateChanged', (e) => transcoding.push(`${e.mediaType} ${e.state}`));
  const same = await connect(pipeline, 'same', false, [from, 'opus']);
  await source.connect(same);
  await decodes('same', from, 'opus');
  assert.equal((await jobs()).length, 0, 'a transcoder runs though formats fit');
  assert.deepEqual(transcoding.sort(), ['AUDIO NOT_TRANSCODING', 'VIDEO NOT_TRANSCODING']);
  const sink = await connect(pipeline, 'other', false, [to, from === 'VP8' && to === 'H264' ? 'PCMU' : 'opus']);
  await source.connect(sink);
  await decodes('other', to, from === 'VP8' && to === 'H264' ? 'PCMU' : 'opus', 60);
  assert.ok(transcoding.includes('VIDEO TRANSCODING'), transcoding.join());
  await decodes('same', from, 'opus', 60);
  await close('publisher', 'same', 'other');
  await pipeline.release();
}
{
  const pipeline = await client.create('MediaPipeline');
  const source = await connect(pipeline, 'publisher', true, ['VP8', 'opus']);
  const names = Array.from({ length: 10 }, (_, i) => `viewer${i}`);
  for (const name of names) await source.connect(await connect(pipeline, name, false, ['H264', 'opus']));
  for (const name of names) await decodes(name, 'H264', 'opus');
  const running = await jobs();
  assert.deepEqual(running, ['decode'], `jobs with ten H264-only receivers: ${running}`);
  console.log('ok one transcoder for ten receivers');
  await close('publisher', ...names);
  await pipeline.release();
  for (const end = Date.now() + 20_000; (await jobs()).length > 0;) {
    assert.ok(Date.now() < end, 'a job outlives its pipeline');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
client.close();
await closePage();
console.log('done');
process.exit(0);
