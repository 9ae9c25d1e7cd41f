// What every example's server does: serve its folder and this library over HTTP,
// and speak JSON with each page over one WebSocket.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import kurentoClient from 'kurento-client';
import { WebSocketServer } from 'ws';

const library = path.dirname(fileURLToPath(import.meta.url));
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.png': 'image/png', '.webm': 'video/webm' };

/** Where the media node listens: KMS_URI, else the default of a node on this machine. */
export const kmsURI = process.env.KMS_URI || 'ws://localhost:8888/kurento';

/** The client of the media node, shared by all pages of this server. */
export const kurento = await kurentoClient(kmsURI).catch((error) => {
  console.error(`No media node at ${kmsURI} (${error.message ?? error}). Start one: bin/kms, or set KMS_URI.`);
  process.exit(1);
});

/**
 * Starts the example whose page is in folder.
 *
 * join(page) is called for each page that connects and returns its methods:
 * { name: async (params) => result }. page.send(event, data) talks back;
 * a method called "leave" also runs when the page goes away.
 */
export function start(folder, join, files = {}) {
  const http = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const name = url.pathname === '/' ? '/index.html' : url.pathname;
    const file = files[name]?.() ?? (name.startsWith('/lib/') ? path.join(library, path.basename(name)) : path.join(folder, path.basename(name)));
    try {
      const content = await readFile(file);
      response.writeHead(200, { 'Content-Type': types[path.extname(file)] ?? 'application/octet-stream', 'Cache-Control': 'no-store' });
      response.end(content);
    } catch {
      response.writeHead(404).end('Not found');
    }
  });
  const sockets = new WebSocketServer({ server: http });
  sockets.on('connection', (socket) => {
    const page = { send: (event, data) => socket.readyState === 1 && socket.send(JSON.stringify({ event, data })) };
    const methods = join(page);
    // One request at a time: a candidate must not overtake its offer.
    let queue = Promise.resolve();
    const run = (work) => { queue = queue.then(work, work); };
    socket.on('message', (text) => run(async () => {
      let id;
      try {
        const message = JSON.parse(text);
        id = message.id;
        if (!Object.hasOwn(methods, message.method)) throw new Error(`no method ${message.method}`);
        socket.send(JSON.stringify({ id, result: (await methods[message.method](message.params ?? {})) ?? null }));
      } catch (error) {
        console.error(error);
        socket.send(JSON.stringify({ id, error: error.message ?? String(error) }));
      }
    }));
    socket.on('close', () => run(() => methods.leave?.()));
  });
  const port = Number(process.env.PORT ?? 8080);
  http.listen(port, '127.0.0.1', () => console.log(`Open http://localhost:${http.address().port}/`));
  const stop = () => { kurento.close(); process.exit(0); };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/**
 * Answers a page's offer with a WebRtcEndpoint. name tells several endpoints of
 * one page apart; candidates of both sides travel as they are found.
 */
export async function answer(page, endpoint, name, offer) {
  endpoint.on('IceCandidateFound', ({ candidate }) => {
    const { candidate: line, sdpMid, sdpMLineIndex } = candidate;
    page.send('candidate', { name, candidate: { candidate: line, sdpMid, sdpMLineIndex } });
  });
  endpoint.on('Error', (error) => console.error(`${name}: ${error.description}`));
  const sdp = await endpoint.processOffer(offer);
  await endpoint.gatherCandidates();
  return sdp;
}

/** Hands a page's candidate to its endpoint. */
export const candidate = (endpoint, c) => endpoint.addIceCandidate(kurentoClient.getComplexType('IceCandidate')(c));
