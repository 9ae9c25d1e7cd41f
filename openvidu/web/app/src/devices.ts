/** What the person gives the call: either track may be missing. */
export interface Devices { audio?: MediaStreamTrack; video?: MediaStreamTrack; problem?: string; }

const video: MediaTrackConstraints = { width: { ideal: 640 }, height: { ideal: 360 }, frameRate: { ideal: 30 } };
const audio: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true };

/** Opens camera and microphone; when only one is to be had, that one, with the reason. */
export async function openDevices(): Promise<Devices> {
  if (!navigator.mediaDevices?.getUserMedia) {
    return { problem: 'This address is not secure, so the browser gives no camera or microphone. Open the page with https:// or on localhost. You can join to watch.' };
  }
  try {
    return tracks(await navigator.mediaDevices.getUserMedia({ audio, video }));
  } catch (first) {
    const name = (first as DOMException).name;
    if (name === 'NotAllowedError' || name === 'SecurityError') {
      return { problem: 'Camera and microphone are blocked. Allow them beside the address bar and reload the page, or join to watch.' };
    }
    for (const [wish, missing] of [[{ audio }, 'camera'], [{ video }, 'microphone']] as const) {
      try {
        return { ...tracks(await navigator.mediaDevices.getUserMedia(wish)), problem: explain(name, missing) };
      } catch { /* try the other */ }
    }
    return { problem: explain(name, 'camera or microphone') };
  }
}

function tracks(stream: MediaStream): Devices {
  const video: MediaStreamTrack | undefined = stream.getVideoTracks()[0];
  if (video) video.contentHint = 'motion';
  return { audio: stream.getAudioTracks()[0], video };
}

function explain(error: string, what: string): string {
  if (error === 'NotReadableError' || error === 'AbortError') return `Another program uses your ${what}. Close it and reload the page; you can join without.`;
  const sense = { camera: 'see', microphone: 'hear' }[what] ?? 'see or hear';
  return `No ${what} was found. You can join without; others will not ${sense} you.`;
}

export function closeDevices(devices: Devices): void {
  devices.audio?.stop();
  devices.video?.stop();
}
