import {
  Connection, ConnectionEvent, ExceptionEvent, OpenVidu, Publisher, RecordingEvent, Session, SessionDisconnectedEvent,
  StreamEvent, StreamPropertyChangedEvent, Subscriber, PublisherSpeakingEvent,
} from 'openvidu-browser';
import { api } from './api';
import { Devices } from './devices';
import { Tile } from './tiles';

/** What the call tells the page around it. */
export interface Listener {
  people(count: number): void;
  recording(on: boolean): void;
  sharing(on: boolean): void;
  notice(text: string): void;
  problem(text: string): void;
  ended(text: string): void;
}

/** One stay in a room. The screen, when shared, is a connection of its own. */
export class Call {
  private readonly client = new OpenVidu();
  private readonly session: Session;
  private publisher?: Publisher;
  private readonly tiles = new Map<string, Tile>();
  private readonly people = new Set<string>();
  private mine?: Tile;
  private screen?: { client: OpenVidu; session: Session; publisher: Publisher; tile: Tile };
  private leaving = false;

  private constructor(readonly room: string, readonly name: string, private readonly listener: Listener) {
    quiet(this.client);
    this.session = this.client.initSession();
    this.listen();
  }

  static async join(room: string, name: string, devices: Devices, on: { audio: boolean; video: boolean }, listener: Listener): Promise<Call> {
    const call = new Call(room, name, listener);
    const admission = await api.token(room, name);
    await call.session.connect(admission.token, { clientData: name });
    listener.recording(admission.recordingId !== '');
    if (devices.audio || devices.video) {
      try {
        await call.publish(devices, on);
      } catch (error) {
        call.leave();
        throw error;
      }
    }
    return call;
  }

  private async publish(devices: Devices, on: { audio: boolean; video: boolean }): Promise<void> {
    this.publisher = this.client.initPublisher(undefined as unknown as string, {
      audioSource: devices.audio ?? false,
      videoSource: devices.video ?? false,
      publishAudio: on.audio,
      publishVideo: on.video,
      mirror: false,
    });
    await this.session.publish(this.publisher);
    this.mine = new Tile(this.publisher, this.name, 'local', false);
    this.mine.show({ audio: on.audio && !!devices.audio, video: on.video && !!devices.video });
  }

  private listen(): void {
    const s = this.session;
    s.on('streamCreated', (event: StreamEvent) => { void this.subscribe(event); });
    s.on('streamDestroyed', (event: StreamEvent) => {
      this.tiles.get(event.stream.streamId)?.remove();
      this.tiles.delete(event.stream.streamId);
    });
    s.on('connectionCreated', (event: ConnectionEvent) => this.count(event.connection, true));
    s.on('connectionDestroyed', (event: ConnectionEvent) => this.count(event.connection, false));
    s.on('streamPropertyChanged', (event: StreamPropertyChangedEvent) => {
      const { stream } = event;
      this.tiles.get(stream.streamId)?.show({ audio: stream.audioActive, video: stream.videoActive });
    });
    s.on('publisherStartSpeaking', (event: PublisherSpeakingEvent) => this.speaking(event, true));
    s.on('publisherStopSpeaking', (event: PublisherSpeakingEvent) => this.speaking(event, false));
    s.on('recordingStarted', (_: RecordingEvent) => this.listener.recording(true));
    s.on('recordingStopped', (_: RecordingEvent) => this.listener.recording(false));
    s.on('reconnecting', () => this.listener.notice('The connection was lost. Trying again…'));
    s.on('reconnected', () => this.listener.notice(''));
    s.on('exception', (event: ExceptionEvent) => console.warn(event.name, event.message));
    s.on('sessionDisconnected', (event: SessionDisconnectedEvent) => {
      this.cleanUp();
      if (!this.leaving) this.listener.ended(farewell(event.reason));
    });
  }

  private async subscribe(event: StreamEvent): Promise<void> {
    const { stream } = event;
    const screen = stream.typeOfVideo === 'SCREEN';
    if (this.screen?.session.connection?.connectionId === stream.connection.connectionId) return; // my own screen
    try {
      const subscriber: Subscriber = await this.session.subscribeAsync(stream, undefined as unknown as string);
      const tile = new Tile(subscriber, nameOf(stream.connection), 'remote', screen);
      tile.show({ audio: stream.hasAudio && stream.audioActive, video: stream.hasVideo && stream.videoActive });
      this.tiles.set(stream.streamId, tile);
    } catch (error) {
      this.listener.problem(`${nameOf(stream.connection)} cannot be shown: ${(error as Error).message}`);
    }
  }

  private count(connection: Connection, here: boolean): void {
    if (connection.data?.includes('"screen":true')) return; // a person's second connection
    if (here) this.people.add(connection.connectionId);
    else this.people.delete(connection.connectionId);
    this.listener.people(this.people.size);
  }

  private speaking(event: PublisherSpeakingEvent, on: boolean): void {
    for (const tile of this.tiles.values()) {
      if (tile.root.dataset.streamId === event.streamId) tile.speaking(on);
    }
  }

  setAudio(on: boolean): void {
    this.publisher?.publishAudio(on);
    this.mine?.show({ audio: on, video: this.publisher?.stream.videoActive ?? false });
  }

  async setVideo(on: boolean): Promise<void> {
    await this.publisher?.publishVideo(on);
    this.mine?.show({ audio: this.publisher?.stream.audioActive ?? false, video: on });
  }

  get sharing(): boolean { return this.screen !== undefined; }

  async startSharing(): Promise<void> {
    const client = new OpenVidu();
    quiet(client);
    const publisher = await client.initPublisherAsync(undefined as unknown as string, {
      videoSource: 'screen', audioSource: false, publishAudio: false, mirror: false,
    });
    const session = client.initSession();
    try {
      const admission = await api.token(this.room, this.name);
      await session.connect(admission.token, { clientData: this.name, screen: true });
      // Known before it is published, so that the camera's session skips it.
      this.screen = { client, session, publisher, tile: undefined as unknown as Tile };
      await session.publish(publisher);
    } catch (error) {
      this.screen = undefined;
      session.disconnect();
      publisher.stream.getMediaStream()?.getTracks().forEach((track) => track.stop());
      throw error;
    }
    this.screen.tile = new Tile(publisher, this.name, 'local', true);
    this.screen.tile.show({ audio: true, video: true });
    publisher.stream.getMediaStream().getVideoTracks()[0]?.addEventListener('ended', () => this.stopSharing());
    session.on('sessionDisconnected', () => this.stopSharing());
    this.listener.sharing(true);
  }

  stopSharing(): void {
    const screen = this.screen;
    if (!screen) return;
    this.screen = undefined;
    screen.tile?.remove();
    screen.publisher.stream.getMediaStream()?.getTracks().forEach((track) => track.stop());
    screen.session.disconnect();
    this.listener.sharing(false);
  }

  leave(): void {
    this.leaving = true;
    this.stopSharing();
    this.session.disconnect();
    this.cleanUp();
  }

  private cleanUp(): void {
    this.stopSharing();
    this.mine?.remove();
    this.mine = undefined;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
    this.people.clear();
  }
}

/** The library writes every protocol message to the console otherwise. */
function quiet(client: OpenVidu): void {
  if (!new URLSearchParams(location.search).has('debug')) client.enableProdMode();
}

function nameOf(connection: Connection): string {
  try {
    return JSON.parse(connection.data.split('%/%')[0]).clientData || 'Guest';
  } catch {
    return 'Guest';
  }
}

function farewell(reason: string): string {
  switch (reason) {
    case 'sessionClosedByServer': return 'The room was closed.';
    case 'forceDisconnectByServer':
    case 'forceDisconnectByUser': return 'You were removed from the room.';
    case 'networkDisconnect': return 'The connection to the server was lost for too long. You can join again.';
    case 'openviduServerStopped': return 'The server is stopping. Join again in a moment.';
    case 'nodeCrashed': return 'The media server failed. Join again, please.';
    default: return 'The call has ended.';
  }
}
