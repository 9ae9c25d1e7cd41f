// Loopback: the page's own camera comes back to it through the media node.
import { answer, candidate, kurento, start } from '../lib/server.js';

start(import.meta.dirname ?? new URL('.', import.meta.url).pathname, (page) => {
  let pipeline, endpoint;
  return {
    async offer({ name, offer }) {
      pipeline = await kurento.create('MediaPipeline');
      endpoint = await pipeline.create('WebRtcEndpoint');
      await endpoint.connect(endpoint);
      return answer(page, endpoint, name, offer);
    },
    candidate: (p) => candidate(endpoint, p.candidate),
    async leave() {
      await pipeline?.release();
      pipeline = endpoint = undefined;
    },
  };
});
