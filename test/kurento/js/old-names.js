// The operations and events that only clients of 6.x know, and beside them those
// of 7.x that 6.18 knows, too: each family by itself.
'use strict';
const { assert, kurento, six, ok, start, listen, within, run } = require('./lib');
assert.ok(six, 'these are names of 6.x');

run(async () => {
  const client = await start();
  const pipeline = await client.create('MediaPipeline');
  const a = await pipeline.create('WebRtcEndpoint');
  const b = await pipeline.create('WebRtcEndpoint');
  assert.strictEqual((await pipeline.getChilds()).length, 2);
  assert.strictEqual((await pipeline.getChildren()).length, 2);
  ok('getChilds');
  await a.setOutputBitrate(400000);
  await a.setMinOutputBitrate(100000);
  assert.strictEqual(await a.getMinOutputBitrate(), 100000);
  assert.strictEqual(await a.getMinOuputBitrate(), 100000);
  await a.setMaxOuputBitrate(900000);
  assert.strictEqual(await a.getMaxOutputBitrate(), 900000);
  ok('bitrates of outputs');
  await a.setExternalAddress('127.0.0.1');
  assert.strictEqual(await a.getExternalAddress(), '127.0.0.1');
  ok('external address');

  // Both families at once, and the one does not stand in for the other.
  const seen = { old: [], new: [] };
  const candidates = (from, to) => {
    from.on('OnIceCandidate', (e) => {
      assert.strictEqual(e.type, 'OnIceCandidate');
      seen.old.push(e.candidate.candidate);
      to.addIceCandidate(kurento.getComplexType('IceCandidate')(e.candidate), (err) => { if (err) throw err; });
    });
    from.on('IceCandidateFound', (e) => {
      assert.strictEqual(e.type, 'IceCandidateFound');
      seen.new.push(e.candidate.candidate);
    });
  };
  candidates(a, b);
  candidates(b, a);
  const waits = [];
  for (const x of [a, b]) {
    for (const name of ['OnIceGatheringDone', 'IceGatheringDone']) waits.push((await listen(x, name))());
    for (const name of ['OnIceComponentStateChanged', 'IceComponentStateChange', 'IceComponentStateChanged']) {
      waits.push(new Promise((resolve) => x.on(name, (e) => {
        assert.strictEqual(e.type, name);
        assert.match(e.timestamp, /^\d{10,}$/);
        if (e.state === 'CONNECTED' || e.state === 'READY') resolve();
      })));
    }
    waits.push(new Promise((resolve) => x.on('NewCandidatePairSelected', (e) => {
      assert.strictEqual(e.candidatePair.streamID, e.candidatePair.streamId);
      assert.strictEqual(e.candidatePair.componentID, e.candidatePair.componentId);
      resolve();
    })));
    await x.getName();
  }
  const offer = await a.generateOffer();
  await a.processAnswer(await b.processOffer(offer));
  await a.gatherCandidates();
  await b.gatherCandidates();
  await within(30000, 'events of both families', Promise.all(waits));
  assert.ok(seen.old.length > 0);
  assert.deepStrictEqual(seen.old.slice().sort(), seen.new.slice().sort());
  ok('ICE events under old and new names');
  const pairs = await a.getICECandidatePairs();
  assert.ok(pairs.length >= 1 && pairs[0].streamID === pairs[0].streamId);
  ok('streamID and componentID');

  for (const name of ['MediaFlowInStateChange', 'MediaFlowOutStateChange', 'MediaTranscodingStateChange',
    'MediaFlowInStateChanged', 'MediaFlowOutStateChanged', 'MediaTranscodingStateChanged',
    'OnDataChannelOpened', 'DataChannelOpen', 'OnDataChannelClosed', 'DataChannelClose', 'DataChannelOpened', 'DataChannelClosed']) {
    await listen(a, name);
  }
  ok('all other event names are taken');
  await pipeline.release();
  client.close();
});
