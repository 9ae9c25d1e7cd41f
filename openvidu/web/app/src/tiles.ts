import { StreamManager } from 'openvidu-browser';
import { byId, make } from './dom';
import { icon } from './icons';

/** One picture in the grid. */
export class Tile {
  readonly root: HTMLElement;
  private readonly initial: HTMLElement;
  private readonly muted: HTMLElement;

  constructor(manager: StreamManager, name: string, kind: 'local' | 'remote', screen: boolean) {
    const video = make('video', { 'data-testid': 'tile-video', playsinline: '', autoplay: '' });
    if (kind === 'local') {
      video.muted = true;
      if (!screen) video.classList.add('mirrored');
    }
    this.initial = make('div', { class: 'no-picture' }, make('b', {}, initials(name)));
    this.muted = make('span', { class: 'muted', title: 'Microphone off', 'data-testid': 'tile-muted' }, icon('micOff'));
    const label = screen ? `${name}: screen` : kind === 'local' ? `${name} (you)` : name;
    this.root = make('figure', {
      class: `tile${screen ? ' screen' : ''}`, 'data-testid': 'tile', 'data-kind': kind, 'data-stream-id': manager.stream?.streamId ?? '',
    }, video, this.initial, make('figcaption', {}, this.muted, make('span', { 'data-testid': 'tile-name' }, label)));
    manager.addVideoElement(video);
    byId('grid').append(this.root);
    arrange();
    if (kind === 'remote') this.unlock(video);
  }

  show(state: { audio: boolean; video: boolean }): void {
    this.initial.hidden = state.video;
    this.muted.hidden = state.audio;
    this.root.dataset.audio = String(state.audio);
    this.root.dataset.video = String(state.video);
  }

  speaking(on: boolean): void { this.root.classList.toggle('speaking', on); }

  remove(): void {
    this.root.remove();
    arrange();
  }

  /** Browsers may refuse to play sound before the first click: then ask for one. */
  private unlock(video: HTMLVideoElement): void {
    video.play().catch((error: DOMException) => {
      if (error.name !== 'NotAllowedError') return;
      const button = make('button', { class: 'primary unlock', type: 'button' }, 'Click to hear');
      button.addEventListener('click', () => { void video.play(); button.remove(); });
      this.root.append(button);
    });
  }
}

export function initials(name: string): string {
  const words = name.trim().split(/\s+/);
  const letters = words.slice(0, 2).map((word) => [...word][0] ?? '');
  return letters.join('').toUpperCase() || '?';
}

/** Tells the style sheet how many tiles there are. */
function arrange(): void {
  const grid = byId('grid');
  grid.dataset.count = String(Math.min(grid.children.length, 9));
}
