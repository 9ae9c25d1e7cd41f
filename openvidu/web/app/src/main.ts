import './style.css';
import { api } from './api';
import { Call } from './call';
import { closeDevices, Devices, openDevices } from './devices';
import { byId, toast } from './dom';
import { face, icon } from './icons';
import { Recordings } from './recordings';
import { startTheme } from './theme';
import { initials } from './tiles';

const room = byId<HTMLInputElement>('room');
const person = byId<HTMLInputElement>('name');
const controls = { mic: byId('mic'), cam: byId('cam'), share: byId('share'), record: byId<HTMLButtonElement>('record'), list: byId('recordings'), leave: byId('leave') };

let devices: Devices = {};
let call: Call | undefined;
let recordingAllowed = false;
let recordingNow = false;
const on = { audio: true, video: true };
const recordings = new Recordings(() => call?.room ?? room.value);

/** Draws every toggle from the state above. */
function draw(): void {
  const audio = on.audio && !!devices.audio;
  const video = on.video && !!devices.video;
  for (const id of ['mic', 'pre-mic']) {
    const button = byId<HTMLButtonElement>(id);
    face(button, audio ? 'mic' : 'micOff', devices.audio ? (audio ? 'Mute' : 'Unmute') : 'No microphone', !!devices.audio && !audio);
    button.disabled = !devices.audio;
  }
  for (const id of ['cam', 'pre-cam']) {
    const button = byId<HTMLButtonElement>(id);
    face(button, video ? 'cam' : 'camOff', devices.video ? (video ? 'Stop video' : 'Start video') : 'No camera', !!devices.video && !video);
    button.disabled = !devices.video;
  }
  face(controls.share, 'share', call?.sharing ? 'Stop sharing' : 'Share screen', !!call?.sharing);
  face(controls.record, 'record', recordingNow ? 'Stop recording' : 'Record', recordingNow);
  controls.record.disabled = !recordingAllowed;
  face(controls.list, 'list', 'Recordings');
  face(controls.leave, 'leave', 'Leave');
  byId('rec-badge').hidden = !recordingNow;
  const off = byId('preview-off');
  off.hidden = video;
  off.querySelector('b')!.replaceChildren(person.value ? initials(person.value) : icon('camOff'));
  off.querySelector('span')!.textContent = devices.video ? 'Your camera is off' : '';
}

function fail(text: string): void {
  const box = byId('error');
  box.textContent = text;
  box.hidden = text === '';
}

async function preview(): Promise<void> {
  devices = await openDevices();
  const video = byId<HTMLVideoElement>('preview');
  video.srcObject = devices.video ? new MediaStream([devices.video]) : null;
  if (devices.audio) devices.audio.enabled = on.audio;
  if (devices.video) devices.video.enabled = on.video;
  fail(devices.problem ?? '');
  draw();
}

async function join(event: Event): Promise<void> {
  event.preventDefault();
  const button = byId<HTMLButtonElement>('join');
  button.disabled = true;
  fail('');
  localStorage.setItem('name', person.value.trim());
  try {
    call = await Call.join(room.value, person.value.trim(), devices, on, {
      people: (count) => { byId('people').textContent = count === 1 ? 'Only you' : `${count} people`; },
      recording: (now) => { recordingNow = now; draw(); void recordings.refresh(); },
      sharing: () => draw(),
      notice: (text) => { byId('notice').textContent = text; byId('notice').hidden = text === ''; },
      problem: toast,
      ended: (text) => { void back(text); },
    });
    history.replaceState(null, '', `?room=${encodeURIComponent(call.room)}`);
    stage(true);
  } catch (error) {
    call = undefined;
    recordingNow = false;
    fail((error as Error).message || 'Joining failed.');
    if (devices.audio?.readyState === 'ended' || devices.video?.readyState === 'ended') await reopen((error as Error).message);
  } finally {
    button.disabled = false;
  }
}

/** Shows the call or the entry. */
function stage(inCall: boolean): void {
  byId('prejoin').hidden = inCall;
  byId('call').hidden = !inCall;
  byId('notice').hidden = true;
  for (const id of ['room-title', 'people', 'invite']) byId(id).hidden = !inCall;
  byId('room-title').textContent = call?.room ?? '';
  document.title = call ? `${call.room} – Govidu call` : 'Govidu call';
  draw();
  (inCall ? controls.mic : byId('join')).focus();
}

/** Opens the devices again without losing what went wrong. */
async function reopen(reason: string): Promise<void> {
  closeDevices(devices);
  await preview();
  if (reason) fail(reason);
}

async function back(reason: string): Promise<void> {
  call = undefined;
  recordingNow = false;
  stage(false);
  await reopen(reason);
}

function toggleMic(): void {
  if (!devices.audio) return;
  on.audio = !on.audio;
  if (call) call.setAudio(on.audio);
  else devices.audio.enabled = on.audio;
  draw();
}

async function toggleCam(): Promise<void> {
  if (!devices.video) return;
  on.video = !on.video;
  draw();
  if (call) await call.setVideo(on.video);
  else devices.video.enabled = on.video;
}

async function toggleShare(): Promise<void> {
  if (!call) return;
  if (call.sharing) { call.stopSharing(); return; }
  try {
    await call.startSharing();
  } catch (error) {
    const name = (error as { name?: string }).name ?? '';
    if (name === 'SCREEN_CAPTURE_DENIED') return; // the person changed their mind
    toast(name === 'SCREEN_SHARING_NOT_SUPPORTED' ? 'This browser cannot share its screen.' : `The screen cannot be shared: ${(error as Error).message}`);
  }
}

async function toggleRecord(): Promise<void> {
  if (!call || controls.record.disabled) return;
  controls.record.disabled = true;
  try {
    if (recordingNow) {
      await api.stopRecording(call.room);
      recordingNow = false;
      if (!recordings.isOpen) await recordings.open(controls.list);
      else await recordings.refresh();
    } else {
      await api.startRecording(call.room);
      recordingNow = true;
    }
  } catch (error) {
    toast((error as Error).message);
  } finally {
    draw();
    await recordings.refresh();
  }
}

function leave(): void {
  call?.leave();
  void back('');
}

function shortcuts(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (!call || event.ctrlKey || event.metaKey || event.altKey || event.repeat || /^(input|textarea|video|audio)$/i.test(target.tagName)) return;
  const action = { m: toggleMic, v: toggleCam, s: toggleShare, r: toggleRecord }[event.key.toLowerCase()];
  if (action) { event.preventDefault(); void action(); }
}

async function copyLink(): Promise<void> {
  try {
    await navigator.clipboard.writeText(location.href);
    toast('The link to this room is copied.');
  } catch {
    toast(`Send this link: ${location.href}`);
  }
}

async function start(): Promise<void> {
  startTheme();
  const given = new URLSearchParams(location.search);
  room.value = given.get('room') ?? `room-${crypto.getRandomValues(new Uint16Array(1))[0].toString(36)}`;
  person.value = given.get('name') ?? localStorage.getItem('name') ?? '';
  byId('entry').addEventListener('submit', (event) => { void join(event); });
  person.addEventListener('input', draw);
  byId('pre-mic').addEventListener('click', toggleMic);
  byId('pre-cam').addEventListener('click', () => { void toggleCam(); });
  controls.mic.addEventListener('click', toggleMic);
  controls.cam.addEventListener('click', () => { void toggleCam(); });
  controls.share.addEventListener('click', () => { void toggleShare(); });
  controls.record.addEventListener('click', () => { void toggleRecord(); });
  for (const opener of [controls.list, byId('pre-recordings')]) {
    opener.addEventListener('click', () => { if (recordings.isOpen) recordings.close(); else void recordings.open(opener); });
  }
  controls.leave.addEventListener('click', leave);
  byId('invite').addEventListener('click', () => { void copyLink(); });
  document.addEventListener('keydown', shortcuts);
  window.addEventListener('pagehide', () => call?.leave());
  setInterval(() => { void recordings.refresh(); }, 3000);
  draw();
  await preview();
  if (!person.value) person.focus();
  try {
    recordingAllowed = (await api.settings()).recording;
  } catch (error) {
    fail((error as Error).message);
  }
  draw();
}

void start();
