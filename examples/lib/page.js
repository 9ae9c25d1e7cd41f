// What every example's page does: call its server, and connect media with it.

/** A WebSocket to the server that answers calls and tells events. */
export class Server extends EventTarget {
  #socket;
  #next = 1;
  #waiting = new Map();

  static async connect() {
    const server = new Server();
    server.#socket = new WebSocket(location.origin.replace('http', 'ws'));
    server.#socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.event) {
        server.dispatchEvent(new CustomEvent(message.event, { detail: message.data }));
        return;
      }
      const { resolve, reject } = server.#waiting.get(message.id) ?? {};
      server.#waiting.delete(message.id);
      if (message.error) reject?.(new Error(message.error));
      else resolve?.(message.result);
    };
    await new Promise((resolve, reject) => { server.#socket.onopen = resolve; server.#socket.onerror = reject; });
    return server;
  }

  call(method, params = {}) {
    const id = this.#next++;
    this.#socket.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  on(event, listener) {
    this.addEventListener(event, ({ detail }) => listener(detail));
  }
}

/**
 * Connects to an endpoint that the server makes in its method `method`
 * ({ name, offer, … } → answer). stream is sent when given; what comes is shown
 * in the video element.
 */
export async function connect(server, { method = 'offer', name = 'main', stream, video, params = {} }) {
  const peer = new RTCPeerConnection();
  for (const track of stream?.getTracks() ?? []) peer.addTrack(track, stream);
  for (const kind of ['audio', 'video']) {
    if (!stream?.getTracks().some((track) => track.kind === kind)) peer.addTransceiver(kind, { direction: 'recvonly' });
    else if (!video) peer.getTransceivers().find((t) => t.sender.track?.kind === kind).direction = 'sendonly';
  }
  if (video) {
    video.srcObject = new MediaStream();
    peer.ontrack = ({ track }) => video.srcObject.addTrack(track);
  }
  // Candidates wait until the description they belong to is set.
  let described;
  const ready = new Promise((resolve) => { described = resolve; });
  server.on('candidate', async (c) => {
    if (c.name !== name) return;
    await ready;
    if (peer.signalingState === 'closed') return; // a peer of that name came and went
    await peer.addIceCandidate(c.candidate).catch((error) => console.warn(error));
  });
  await peer.setLocalDescription();
  const offered = server.call(method, { ...params, name, offer: peer.localDescription.sdp });
  peer.onicecandidate = ({ candidate }) => candidate && server.call('candidate', { name, candidate: candidate.toJSON() });
  await peer.setRemoteDescription({ type: 'answer', sdp: await offered });
  described();
  return peer;
}

/** The camera and microphone. */
export const camera = (constraints = { audio: true, video: { width: 640, height: 480 } }) => navigator.mediaDevices.getUserMedia(constraints);

/** Runs work when the button is pressed; shows its failure. */
export function onPress(id, work) {
  const button = document.getElementById(id);
  button.onclick = async () => {
    button.disabled = true;
    document.body.dataset.state = 'working';
    try {
      await work();
      document.body.dataset.state = id;
    } catch (error) {
      console.error(error);
      document.body.dataset.state = 'failed';
      document.getElementById('log').textContent = error.message;
      button.disabled = false;
    }
  };
}
