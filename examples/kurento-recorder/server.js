// Records the page's camera into a WebM file on the media node and plays it back.
// The node's --file-roots must hold RECORDINGS.
import { answer, candidate, kurento, start } from '../lib/server.js';

const folder = process.env.RECORDINGS || '/tmp';

start(import.meta.dirname ?? new URL('.', import.meta.url).pathname, (page) => {
  let pipeline, endpoint, recorder, uri;
  return {
    async record({ name, offer }) {
      uri = `file://${folder}/example-${crypto.randomUUID()}.webm`;
      pipeline = await kurento.create('MediaPipeline');
      endpoint = await pipeline.create('WebRtcEndpoint');
      recorder = await pipeline.create('RecorderEndpoint', { uri, mediaProfile: 'WEBM' });
      recorder.on('Recording', () => page.send('recording'));
      await endpoint.connect(recorder);
      await endpoint.connect(endpoint);
      const sdp = await answer(page, endpoint, name, offer);
      await recorder.record();
      return sdp;
    },
    async finish() {
      await recorder.stopAndWait();
      await pipeline.release();
      pipeline = undefined;
      return uri;
    },
    async play({ name, offer }) {
      pipeline = await kurento.create('MediaPipeline');
      endpoint = await pipeline.create('WebRtcEndpoint');
      const player = await pipeline.create('PlayerEndpoint', { uri });
      player.on('EndOfStream', () => page.send('over'));
      await player.connect(endpoint);
      const sdp = await answer(page, endpoint, name, offer);
      endpoint.on('ConnectionStateChanged', ({ newState }) => newState === 'CONNECTED' && player.play());
      return sdp;
    },
    candidate: (p) => endpoint && candidate(endpoint, p.candidate),
    async leave() {
      await pipeline?.release();
      pipeline = endpoint = undefined;
    },
  };
});
