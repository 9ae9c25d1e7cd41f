// One page presents, any number watch. Viewers that come before the presenter
// are refused; when the presenter goes, viewers are told.
import { answer, candidate, kurento, start } from '../lib/server.js';

let presenter; // { page, pipeline, endpoint }
const viewers = new Map(); // page → endpoint

start(import.meta.dirname ?? new URL('.', import.meta.url).pathname, (page) => ({
  async present({ name, offer }) {
    if (presenter) throw new Error('Somebody is presenting already.');
    presenter = { page }; // taken from now on, also for a page that asks at the same moment
    try {
      presenter.pipeline = await kurento.create('MediaPipeline');
      presenter.endpoint = await presenter.pipeline.create('WebRtcEndpoint');
      return await answer(page, presenter.endpoint, name, offer);
    } catch (error) {
      presenter = undefined;
      throw error;
    }
  },
  async watch({ name, offer }) {
    if (!presenter?.endpoint) throw new Error('Nobody is presenting yet.');
    const endpoint = await presenter.pipeline.create('WebRtcEndpoint');
    viewers.set(page, endpoint);
    await presenter.endpoint.connect(endpoint);
    return answer(page, endpoint, name, offer);
  },
  async candidate(p) {
    const endpoint = presenter?.page === page ? presenter.endpoint : viewers.get(page);
    await (endpoint && candidate(endpoint, p.candidate));
  },
  async leave() {
    if (presenter?.page === page) {
      const { pipeline } = presenter;
      presenter = undefined;
      for (const viewer of viewers.keys()) viewer.send('over');
      viewers.clear();
      await pipeline.release();
      return;
    }
    const endpoint = viewers.get(page);
    viewers.delete(page);
    await endpoint?.release();
  },
}));
