// The page's own small backend (openvidu/web in the server). It hands out tokens
// and starts recordings, so that the page never sees the server's secret.

export interface Settings { recording: boolean; version: string; }
export interface Admission { token: string; recordingId: string; }
export interface RecordedStream {
  streamId: string; name: string; kind: 'video' | 'audio'; screen: boolean; url: string; type: string; durationMs: number; size: number;
}
export interface RecordingItem {
  id: string; name: string; room: string; createdAt: number; durationSeconds: number; size: number;
  status: string; zip: string; streams: RecordedStream[];
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error('The server cannot be reached. Is it still running?');
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.message ?? `The server answered ${response.status}.`);
  return answer as T;
}

export const api = {
  settings: () => call<Settings>('GET', 'demo/config'),
  token: (room: string, name: string) => call<Admission>('POST', 'demo/token', { room, name }),
  startRecording: (room: string) => call<{ id: string }>('POST', 'demo/recording/start', { room }),
  stopRecording: (room: string) => call<{ id: string }>('POST', 'demo/recording/stop', { room }),
  recordings: (room: string) => call<{ recordings: RecordingItem[] }>('GET', `demo/recordings?room=${encodeURIComponent(room)}`),
};
