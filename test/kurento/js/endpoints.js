// Two WebRtcEndpoints and a recorder, with either line: offer and answer between the
// two, candidates both ways, until the endpoints are connected.
'use strict';
const { assert, kurento, files, ok, start, run } = require('./lib');

run(async () => {
  const client = await start();
  const pipeline = await client.create('MediaPipeline');
  const a = await pipeline.create('WebRtcEndpoint');
  const b = await pipeline.create('WebRtcEndpoint', { recvonly: false });
  ok('create');
  const trickle = (from, to) => from.on('IceCandidateFound', (e) => {
    assert.strictEqual(e.type, 'IceCandidateFound');
    to.addIceCandidate(kurento.getComplexType('IceCandidate')(e.candidate), (err) => {
      if (err) { console.error('addIceCandidate', err); process.exit(1); }
    });
  });
  trickle(a, b);
  trickle(b, a);
  const connected = (e) => new Promise((resolve) => e.on('ConnectionStateChanged', (ev) => ev.newState === 'CONNECTED' && resolve()));
  const gathered = (e) => new Promise((resolve) => e.on('IceGatheringDone', resolve));
  const waits = [connected(a), connected(b), gathered(a), gathered(b)];
  await a.getName(); // the subscriptions are made
  await b.getName();
  const offer = await a.generateOffer();
  assert.match(offer, /^v=0/);
  const answer = await b.processOffer(offer);
  assert.match(answer, /^v=0/);
  await a.processAnswer(answer);
  ok('offer and answer');
  await a.gatherCandidates();
  await b.gatherCandidates();
  await Promise.all(waits);
  ok('gathered, connected');
  assert.strictEqual(await a.getConnectionState(), 'CONNECTED');
  assert.match(await a.getLocalSessionDescriptor(), /a=candidate/);
  assert.ok((await a.getICECandidatePairs()).length >= 1);
  await a.setMaxVideoRecvBandwidth(500);
  assert.strictEqual(await a.getMaxVideoRecvBandwidth(), 500);
  assert.ok(Object.values(await a.getStats() || {}).every((row) => /rtp$/.test(row.type)));
  await pipeline.setLatencyStats(true);
  assert.strictEqual((await a.getStats())[a.id].type, 'endpoint');
  ok('getters');

  const recorder = await pipeline.create('RecorderEndpoint', { uri: 'file://' + files + '/one.webm', mediaProfile: 'WEBM' });
  const states = [];
  recorder.on('UriEndpointStateChanged', (e) => states.push(e.state));
  await b.connect(recorder);
  await recorder.record();
  assert.strictEqual(await recorder.getState(), 'START');
  await recorder.stopAndWait();
  assert.strictEqual(await recorder.getState(), 'STOP');
  assert.match(await recorder.getUri(), /one\.webm$/);
  assert.strictEqual(states[0], 'START');
  ok('recorder');
  await pipeline.release();
  client.close();
});
