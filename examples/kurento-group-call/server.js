// A room where everybody sees everybody: each page sends once and receives one
// endpoint per other page.
import { answer, candidate, kurento, start } from '../lib/server.js';

const room = new Map(); // name → { page, publisher, subscribers: name → endpoint }
let pipeline;
let counter = 0;

async function thePipeline() {
  pipeline ??= kurento.create('MediaPipeline'); // the promise: two pages at once share it
  return pipeline;
}

start(import.meta.dirname ?? new URL('.', import.meta.url).pathname, (page) => {
  const me = `guest-${++counter}`;
  const self = { page, publisher: undefined, subscribers: new Map() };
  return {
    async publish({ name, offer }) {
      self.publisher = await (await thePipeline()).create('WebRtcEndpoint');
      const sdp = await answer(page, self.publisher, name, offer);
      const others = [...room.keys()];
      room.set(me, self);
      for (const other of others) room.get(other)?.page.send('joined', { who: me });
      page.send('welcome', { me, others });
      return sdp;
    },
    async subscribe({ name, who, offer }) {
      const source = room.get(who)?.publisher;
      if (!source) throw new Error(`${who} has left.`);
      const endpoint = await (await thePipeline()).create('WebRtcEndpoint');
      self.subscribers.set(name, endpoint);
      await source.connect(endpoint);
      return answer(page, endpoint, name, offer);
    },
    candidate(p) {
      const endpoint = p.name === 'main' ? self.publisher : self.subscribers.get(p.name);
      return endpoint && candidate(endpoint, p.candidate);
    },
    async leave() {
      if (!room.delete(me)) return;
      for (const other of room.values()) {
        other.page.send('left', { who: me });
        await other.subscribers.get(me)?.release();
        other.subscribers.delete(me);
      }
      await self.publisher.release();
      for (const endpoint of self.subscribers.values()) await endpoint.release();
      if (room.size === 0) {
        const old = await pipeline;
        pipeline = undefined;
        await old.release();
      }
    },
  };
});
