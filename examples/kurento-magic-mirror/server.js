// A mirror that puts a hat on every face. The picture comes from this server, so
// the media node must be allowed to fetch it (loopback is, for callers of the node).
import { answer, candidate, kurento, start } from '../lib/server.js';

const hat = process.env.HAT_URI || `http://localhost:${process.env.PORT ?? 8080}/hat.png`;

start(import.meta.dirname ?? new URL('.', import.meta.url).pathname, (page) => {
  let pipeline, endpoint;
  return {
    async offer({ name, offer }) {
      pipeline = await kurento.create('MediaPipeline');
      endpoint = await pipeline.create('WebRtcEndpoint');
      const mirror = await pipeline.create('GStreamerFilter', { command: 'videoflip method=horizontal-flip', filterType: 'VIDEO' });
      const faces = await pipeline.create('FaceOverlayFilter');
      faces.on('Error', (error) => console.error(error.description));
      // The hat is as wide as a face and stands on it.
      await faces.setOverlayedImage(hat, -0.1, -0.8, 1.2, 1);
      await endpoint.connect(faces);
      await faces.connect(mirror);
      await mirror.connect(endpoint);
      return answer(page, endpoint, name, offer);
    },
    candidate: (p) => endpoint && candidate(endpoint, p.candidate),
    async leave() {
      await pipeline?.release();
      pipeline = endpoint = undefined;
    },
  };
});
