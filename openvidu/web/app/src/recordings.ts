import { api, RecordedStream, RecordingItem } from './api';
import { byId, make } from './dom';
import { face, icon } from './icons';

/** The panel with the room's recordings and a player for each stream. */
export class Recordings {
  private readonly panel = byId('recordings-panel');
  private readonly list = byId('recordings-list');
  private shown = '';
  private opener?: HTMLElement;

  constructor(private readonly room: () => string) {
    const close = byId('recordings-close');
    face(close, 'close', 'Close');
    close.addEventListener('click', () => this.close());
    this.panel.addEventListener('keydown', (event) => { if (event.key === 'Escape') this.close(); });
  }

  get isOpen(): boolean { return !this.panel.hidden; }

  /** Opens the panel; opener is the button that gets the focus back. */
  async open(opener: HTMLElement): Promise<void> {
    this.opener = opener;
    this.panel.hidden = false;
    opener.setAttribute('aria-expanded', 'true');
    byId('recordings-close').focus();
    await this.refresh();
  }

  close(): void {
    this.panel.hidden = true;
    this.opener?.setAttribute('aria-expanded', 'false');
    this.list.replaceChildren();
    this.shown = '';
    if (this.opener?.offsetParent) this.opener.focus();
  }

  /** Reads the list again. A list that did not change is left alone, so a player goes on playing. */
  async refresh(): Promise<void> {
    if (!this.isOpen) return;
    let items: RecordingItem[];
    try {
      items = (await api.recordings(this.room())).recordings;
    } catch (error) {
      this.list.replaceChildren(make('p', { class: 'hint' }, (error as Error).message));
      return;
    }
    const state = JSON.stringify(items);
    if (state === this.shown) return;
    this.shown = state;
    this.list.replaceChildren(...(items.length ? items.map(card) : [make('p', { class: 'hint' }, 'Nothing was recorded in this room yet. Press Record in the call.')]));
  }
}

function card(item: RecordingItem): HTMLElement {
  const when = new Date(item.createdAt).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  const root = make('article', { class: 'card', 'data-testid': 'recording-item', 'data-id': item.id, 'data-status': item.status },
    make('h3', {}, item.name), make('p', { class: 'hint' }, facts(item, when)));
  if (item.status !== 'ready') return root;
  const stage = make('div', { class: 'stage' });
  const row = make('div', { class: 'streams' });
  for (const stream of item.streams) {
    const label = `${stream.name || 'Stream'}${stream.screen ? ': screen' : ''}, ${clock(stream.durationMs / 1000)}`;
    const button = make('button', { class: 'quiet', type: 'button', 'data-testid': 'recording-play', 'data-stream-id': stream.streamId }, icon('play'), label);
    button.addEventListener('click', () => stage.replaceChildren(player(stream)));
    row.append(button);
  }
  row.append(make('a', { class: 'quiet', 'data-testid': 'recording-zip', href: item.zip, download: '' }, `Download all (${bytes(item.size)})`));
  root.append(row, stage);
  return root;
}

function player(stream: RecordedStream): HTMLElement {
  const media = make(stream.kind, { controls: '', autoplay: '', src: stream.url, 'data-testid': 'recording-player' });
  const frame = make('div', {}, media);
  media.addEventListener('error', () => {
    frame.replaceChildren(make('p', { class: 'error' }, `This browser cannot play the file (${stream.type}). Download it and use another player.`));
  });
  return frame;
}

function facts(item: RecordingItem, when: string): string {
  switch (item.status) {
    case 'ready': return `${when}, ${clock(item.durationSeconds)}`;
    case 'started': return `${when}, recording now`;
    case 'failed': return `${when}, failed`;
    default: return `${when}, being finished`;
  }
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

function bytes(size: number): string {
  if (size < 1024 * 1024) return `${Math.max(1, Math.round(size / 1024))} KB`;
  return `${(size / 1024 / 1024).toFixed(1)} MB`;
}
