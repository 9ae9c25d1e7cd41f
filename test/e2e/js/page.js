// One participant of a test call: unmodified openvidu-browser plus probes that
// answer "is the picture moving, is there sound" from the peer connection and
// from the pixels, never from what the library says about itself.
//
// Everything hangs on window.e2e; the Go tests call one function at a time and
// poll the probes themselves, so nothing in here waits for an expected outcome.
(() => {
  'use strict';

  let ov, session, publisher;
  const events = []; // everything the library emitted, in order
  const watched = new Map(); // stream id -> { pc(), video, media(), at }
  const sent = {}; // when our own media left: wall clock in ms

  const plain = (error) =>
    Object.assign(new Error(error && error.message), {
      name: (error && error.name) || 'Error',
      code: error && error.code,
    });

  // peerOf is the peer connection of a stream; there is none before it is
  // negotiated (getRTCPeerConnection throws then).
  const peerOf = (stream) => stream.webRtcPeer && stream.webRtcPeer.pc;

  function note(type, fields) {
    events.push({ type, at: Date.now(), ...fields });
  }

  function newVideo(muted) {
    const video = document.createElement('video');
    video.autoplay = true;
    video.playsInline = true;
    video.muted = muted;
    document.getElementById('videos').append(video);
    return video;
  }

  function watchSession() {
    session.on('streamCreated', (event) => {
      const stream = event.stream;
      note('streamCreated', {
        streamId: stream.streamId,
        connectionId: stream.connection.connectionId,
        hasAudio: stream.hasAudio,
        hasVideo: stream.hasVideo,
        typeOfVideo: stream.typeOfVideo,
      });
      subscribe(stream);
    });
    session.on('streamDestroyed', (event) => {
      note('streamDestroyed', { streamId: event.stream.streamId, reason: event.reason });
      const entry = watched.get(event.stream.streamId);
      if (entry) entry.video.remove();
      watched.delete(event.stream.streamId);
    });
    session.on('connectionCreated', (event) =>
      note('connectionCreated', { connectionId: event.connection.connectionId, data: event.connection.data }));
    session.on('connectionDestroyed', (event) =>
      note('connectionDestroyed', { connectionId: event.connection.connectionId, reason: event.reason }));
    session.on('sessionDisconnected', (event) => note('sessionDisconnected', { reason: event.reason }));
    session.on('streamPropertyChanged', (event) =>
      note('streamPropertyChanged', {
        streamId: event.stream.streamId,
        property: event.changedProperty,
        value: event.newValue,
        old: event.oldValue,
        reason: event.reason,
      }));
    session.on('signal', (event) =>
      note('signal', { signalType: event.type, data: event.data, from: event.from && event.from.connectionId }));
    session.on('recordingStarted', (event) => note('recordingStarted', { id: event.id, name: event.name }));
    session.on('recordingStopped', (event) =>
      note('recordingStopped', { id: event.id, name: event.name, reason: event.reason }));
    session.on('broadcastStarted', () => note('broadcastStarted', {}));
    session.on('broadcastStopped', () => note('broadcastStopped', {}));
    session.on('reconnecting', () => note('reconnecting', {}));
    session.on('reconnected', () => note('reconnected', {}));
    session.on('exception', (event) => note('exception', { name: event.name, message: event.message }));
  }

  function subscribe(stream) {
    const video = newVideo(false);
    const subscriber = session.subscribe(stream, undefined);
    subscriber.addVideoElement(video);
    watched.set(stream.streamId, {
      video,
      subscriber,
      pc: () => peerOf(subscriber.stream),
      connectionId: stream.connection.connectionId,
    });
  }

  // publish offers fake devices and resolves when the library says so. While it
  // waits it notes when the first packet of media really left the page.
  async function publish(options = {}) {
    const { loopback, noise, color, clock, tone, ...properties } = options;
    if (noise) properties.videoSource = noiseTrack();
    if (color) properties.videoSource = colorTrack(color);
    if (clock) properties.videoSource = clockTrack(clock);
    if (tone) properties.audioSource = toneTrack();
    publisher = await ov.initPublisherAsync(undefined, {
      publishAudio: true,
      publishVideo: true,
      resolution: '640x480',
      frameRate: 30,
      mirror: false,
      ...properties,
    });
    for (const type of ['streamCreated', 'streamDestroyed', 'streamPlaying', 'streamPropertyChanged']) {
      publisher.on(type, (event) =>
        note('publisher.' + type, {
          streamId: publisher.stream.streamId,
          reason: event.reason,
          property: event.changedProperty,
          value: event.newValue,
        }));
    }
    if (loopback) publisher.subscribeToRemote(true);
    const video = newVideo(!loopback); // sound that is not played is not decoded
    publisher.addVideoElement(video);
    delete sent.first;
    const own = publisher;
    const watch = { over: false };
    const firstPacket = noteFirstPacket(own, watch);
    try {
      await session.publish(own);
    } catch (error) {
      watch.over = true;
      throw error;
    }
    await firstPacket;
    const id = own.stream.streamId;
    if (loopback) {
      watched.set(id, {
        video,
        pc: () => peerOf(own.stream),
        connectionId: session.connection.connectionId,
      });
    }
    return { streamId: id, before: sent.before, first: sent.first };
  }

  // noiseTrack is a picture that no encoder can make small: it takes whatever
  // bitrate it may have, which Chromium caps at 1.7 Mbit/s for this size.
  function noiseTrack() {
    const canvas = document.createElement('canvas');
    canvas.width = 400;
    canvas.height = 300;
    const context = canvas.getContext('2d');
    const image = context.createImageData(400, 300);
    const words = new Uint32Array(image.data.buffer);
    let state = 1;
    setInterval(() => {
      for (let i = 0; i < words.length; i++) {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        words[i] = state | 0xff000000;
      }
      context.putImageData(image, 0, 0);
    }, 66);
    return canvas.captureStream(15).getVideoTracks()[0];
  }

  // toneTrack is a steady tone, silent until it is made loud.
  let loudness;
  function toneTrack() {
    const context = new AudioContext();
    const oscillator = context.createOscillator();
    const sound = context.createMediaStreamDestination();
    loudness = context.createGain();
    loudness.gain.value = 0;
    oscillator.connect(loudness).connect(sound);
    oscillator.start();
    return sound.stream.getAudioTracks()[0];
  }

  // colorTrack is a picture of one colour between a white and a black band, with a
  // moving dot so that it is alive.
  function colorTrack(color) {
    const canvas = document.createElement('canvas');
    canvas.width = 320;
    canvas.height = 240;
    const context = canvas.getContext('2d');
    let n = 0;
    setInterval(() => {
      context.fillStyle = color;
      context.fillRect(0, 0, 320, 240);
      context.fillStyle = '#000';
      context.fillRect(0, 200, 320, 40);
      context.fillStyle = '#fff';
      context.fillRect(0, 0, 320, 40);
      context.fillRect(n++ % 300, 210, 16, 16);
    }, 50);
    return canvas.captureStream(20).getVideoTracks()[0];
  }

  // clockTrack shows how many 25ths of a second have passed since begin, as the Go
  // package test/actor reads it: bits of black and white, each over its opposite.
  function clockTrack({ color, begin, period }) {
    const canvas = document.createElement('canvas');
    canvas.width = 640;
    canvas.height = 360;
    const context = canvas.getContext('2d');
    const track = canvas.captureStream().getVideoTracks()[0];
    let last = -1;
    setInterval(() => {
      const n = Math.floor((Date.now() - begin) / 40) % period;
      if (n === last) return;
      last = n;
      context.fillStyle = color;
      context.fillRect(0, 0, 640, 360);
      for (let i = 0; i < 8; i++) {
        const bit = (n >> (7 - i)) & 1;
        context.fillStyle = bit ? '#fff' : '#000';
        context.fillRect(64 + 64 * i, 32, 64, 64);
        context.fillStyle = bit ? '#000' : '#fff';
        context.fillRect(64 + 64 * i, 96, 64, 64);
      }
    }, 5);
    return track;
  }

  // noteFirstPacket brackets the moment at which media began to leave: it had
  // not at sent.before, it had at sent.first. On a busy machine they are apart.
  async function noteFirstPacket(own, watch) {
    let before = Date.now();
    const deadline = Date.now() + 30000;
    while (!watch.over) {
      if (Date.now() > deadline) throw new Error('no media packet left the page in 30 s');
      const pc = peerOf(own.stream);
      if (pc) {
        for (const report of (await pc.getStats()).values()) {
          if (report.type !== 'outbound-rtp') continue;
          if (report.packetsSent > 0) sent.first ??= report.timestamp;
          else before = report.timestamp;
        }
        if (sent.first) {
          sent.before = Math.min(before, sent.first);
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  // unpublish brackets the moment at which media ceased to leave: the library
  // closes the peer connection some time between the call and its end.
  async function unpublish() {
    const id = publisher.stream.streamId;
    const report = await outbound();
    const last = Date.now();
    await session.unpublish(publisher);
    return { streamId: id, before: sent.before, first: sent.first, last, after: Date.now(), frames: report.video ? report.video.frames : 0 };
  }

  async function outbound() {
    const pc = peerOf(publisher.stream);
    const stats = await pc.getStats();
    const answer = { connectionState: pc.connectionState };
    for (const report of stats.values()) {
      if (report.type !== 'outbound-rtp') continue;
      const codec = report.codecId && stats.get(report.codecId);
      answer[report.kind] = {
        at: report.timestamp,
        bytes: report.bytesSent,
        packets: report.packetsSent,
        frames: report.framesSent,
        target: report.targetBitrate,
        width: report.frameWidth,
        height: report.frameHeight,
        pli: report.pliCount,
        codec: codec && codec.mimeType,
      };
    }
    return answer;
  }

  // picture looks at what the video element shows: brightness, its deviation
  // over a 64×48 raster (0 = one colour) and a checksum that changes with movement.
  function picture(video) {
    if (!video.videoWidth) return { width: 0, height: 0, deviation: 0, checksum: 0 };
    const canvas = document.createElement('canvas');
    canvas.width = 64;
    canvas.height = 48;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, 64, 48);
    const { data } = context.getImageData(0, 0, 64, 48);
    let sum = 0, squares = 0, checksum = 0;
    for (let i = 0; i < data.length; i += 4) {
      const luma = 0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2];
      sum += luma;
      squares += luma * luma;
      checksum = (Math.imul(checksum, 31) + data[i] + data[i + 1] * 3 + data[i + 2] * 7) | 0;
    }
    const n = data.length / 4;
    const mean = sum / n;
    return {
      width: video.videoWidth,
      height: video.videoHeight,
      mean,
      deviation: Math.sqrt(Math.max(0, squares / n - mean * mean)),
      checksum,
    };
  }

  // inbound reports every stream that is being watched.
  async function inbound() {
    const answer = [];
    for (const [streamId, entry] of watched) {
      const pc = entry.pc();
      const item = { streamId, connectionId: entry.connectionId, picture: picture(entry.video) };
      answer.push(item);
      if (!pc) continue;
      item.connectionState = pc.connectionState;
      const stats = await pc.getStats();
      for (const report of stats.values()) {
        if (report.type !== 'inbound-rtp') continue;
        const codec = report.codecId && stats.get(report.codecId);
        item.at = report.timestamp;
        if (report.kind === 'video') {
          item.framesDecoded = report.framesDecoded;
          item.videoPackets = report.packetsReceived;
          item.videoLost = report.packetsLost;
          item.videoBytes = report.bytesReceived;
          item.framesDropped = report.framesDropped;
          item.framesReceived = report.framesReceived;
          item.keyFrames = report.keyFramesDecoded;
          item.freezes = report.totalFreezesDuration;
          item.freezeCount = report.freezeCount;
          item.waited = report.jitterBufferDelay;
          item.emitted = report.jitterBufferEmittedCount;
          item.repaired = report.retransmittedPacketsReceived;
          item.fecPackets = report.fecPacketsReceived;
          item.frameHeight = report.frameHeight;
          item.nacks = report.nackCount;
          item.plis = report.pliCount;
          item.videoCodec = codec && codec.mimeType;
        } else {
          item.audioEnergy = report.totalAudioEnergy;
          item.audioPackets = report.packetsReceived;
          item.audioSamples = report.totalSamplesReceived;
          item.audioConcealed = report.concealedSamples - report.silentConcealedSamples;
          item.audioCodec = codec && codec.mimeType;
        }
      }
    }
    return answer;
  }

  // loopback proves the probes without any server: two peer connections of
  // this page, the second one watched like a subscription. With blank it sends
  // a still, one-coloured, silent stream, which the probes must not accept.
  async function loopback({ blank } = {}) {
    const media = blank ? blankMedia() : await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    const a = new RTCPeerConnection();
    const b = new RTCPeerConnection();
    a.onicecandidate = (event) => b.addIceCandidate(event.candidate);
    b.onicecandidate = (event) => a.addIceCandidate(event.candidate);
    const video = newVideo(false);
    const remote = new MediaStream();
    video.srcObject = remote;
    b.ontrack = (event) => remote.addTrack(event.track);
    for (const track of media.getTracks()) a.addTrack(track, media);
    await a.setLocalDescription();
    await b.setRemoteDescription(a.localDescription);
    await b.setLocalDescription();
    await a.setRemoteDescription(b.localDescription);
    watched.set('loopback', { video, pc: () => b, connectionId: 'loopback' });
  }

  function blankMedia() {
    const canvas = document.createElement('canvas');
    canvas.width = 320;
    canvas.height = 240;
    const context = canvas.getContext('2d');
    setInterval(() => {
      context.fillStyle = '#345';
      context.fillRect(0, 0, 320, 240);
    }, 40);
    const sound = new AudioContext().createMediaStreamDestination();
    return new MediaStream([...canvas.captureStream(25).getTracks(), ...sound.stream.getTracks()]);
  }

  // watchHLS plays a playlist with hls.js, as a spectator's page would.
  let spectator;
  async function watchHLS({ url }) {
    if (!window.Hls) {
      await new Promise((resolve, reject) => {
        const script = document.createElement('script');
        script.src = '/hls.js';
        script.onload = resolve;
        script.onerror = () => reject(new Error('hls.js does not load'));
        document.head.append(script);
      });
    }
    const video = newVideo(true);
    const hls = new Hls({ liveDurationInfinity: true });
    spectator = { video, hls, errors: [] };
    hls.on(Hls.Events.ERROR, (_, data) => {
      spectator.errors.push(`${data.type} ${data.details} ${data.response ? data.response.code : ''} ${data.fatal ? 'fatal' : ''}`);
    });
    hls.loadSource(url);
    hls.attachMedia(video);
    video.play().catch(() => {}); // it plays when there is something to play
    return Hls.version;
  }

  // spectator reports where the player is and what colour it shows in the middle.
  function spectatorState() {
    const { video, hls, errors } = spectator;
    const answer = {
      currentTime: video.currentTime,
      width: video.videoWidth,
      height: video.videoHeight,
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      audioTracks: hls.audioTracks.length,
      audioBytes: video.webkitAudioDecodedByteCount,
      latency: hls.latency,
      behind: hls.playingDate ? (Date.now() - hls.playingDate) / 1000 : 0, // by the clock of the picture
      live: hls.levels.length ? Boolean(hls.levels[Math.max(0, hls.currentLevel)].details?.live) : false,
      errors,
    };
    if (video.videoWidth) {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 16;
      const context = canvas.getContext('2d');
      const { videoWidth: w, videoHeight: h } = video;
      context.drawImage(video, w * 0.4, h * 0.4, w * 0.2, h * 0.2, 0, 0, 16, 16);
      const { data } = context.getImageData(0, 0, 16, 16);
      const mean = [0, 0, 0];
      for (let i = 0; i < data.length; i++) if (i % 4 < 3) mean[i % 4] += data[i] / 256;
      answer.color = mean.map(Math.round);
    }
    return answer;
  }

  const api = {
    watchHLS,
    async spectator() {
      return spectatorState();
    },
    async version() {
      return new OpenVidu().libraryVersion;
    },
    async join({ token, data }) {
      ov = new OpenVidu();
      ov.enableProdMode();
      session = ov.initSession();
      watchSession();
      await session.connect(token, data);
      return {
        connectionId: session.connection.connectionId,
        sessionId: session.sessionId,
        role: session.connection.role,
        data: session.connection.data,
        capabilities: session.capabilities,
      };
    },
    publish,
    unpublish,
    outbound,
    inbound,
    loopback,
    async leave() {
      session.disconnect();
    },
    async connectionId() {
      return session.connection.connectionId;
    },
    async signal(options) {
      const to = (options.to || []).map((id) => session.remoteConnections.get(id) || session.connection);
      await session.signal({ data: options.data, type: options.type, to });
    },
    async mute({ kind, active }) {
      if (kind === 'audio') publisher.publishAudio(active);
      else await publisher.publishVideo(active);
    },
    async forceDisconnect(connectionId) {
      await session.forceDisconnect(session.remoteConnections.get(connectionId));
    },
    async forceUnpublish(streamId) {
      await session.forceUnpublish(watched.get(streamId).subscriber.stream);
    },
    async unsubscribe(streamId) {
      const entry = watched.get(streamId);
      await session.unsubscribe(entry.subscriber);
      entry.video.remove();
      watched.delete(streamId);
    },
    // Who offered, and what layers the own offer has.
    async negotiation(streamId) {
      const pc = streamId ? watched.get(streamId).pc() : peerOf(publisher.stream);
      return {
        remote: pc.remoteDescription.type,
        rids: [...pc.localDescription.sdp.matchAll(/^a=rid:(\S+) send/gm)].map((match) => match[1]),
      };
    },
    // A request that the library has no method for.
    async request({ method, params }) {
      return new Promise((resolve, reject) =>
        ov.sendRequest(method, params, (error, answer) => (error ? reject(plain(error)) : resolve(answer))));
    },
    // From now on the pauses between pictures that are shown are noted.
    async watchGaps(streamId) {
      const entry = watched.get(streamId);
      const { video } = entry;
      entry.gaps = { worst: 0, frames: 0, at: [] };
      let last = 0;
      const shown = (now) => {
        if (last) {
          entry.gaps.worst = Math.max(entry.gaps.worst, now - last);
          if (now - last > 500) entry.gaps.at.push([Math.round(now), Math.round(now - last)]);
        }
        last = now;
        entry.gaps.frames++;
        video.requestVideoFrameCallback(shown);
      };
      video.requestVideoFrameCallback(shown);
    },
    async gaps(streamId) {
      return watched.get(streamId).gaps;
    },
    // Offers of this page put RED before Opus, and have Opus fall silent with its source.
    async munge() {
      const { createOffer } = RTCPeerConnection.prototype;
      RTCPeerConnection.prototype.createOffer = async function (...args) {
        const offer = await createOffer.apply(this, args);
        const opus = /a=rtpmap:(\d+) opus\//.exec(offer.sdp);
        const red = /a=rtpmap:(\d+) red\/48000/.exec(offer.sdp);
        if (!opus || !red) return offer;
        const sdp = offer.sdp
          .replace(new RegExp(`^(m=audio \\S+ \\S+) (.*?)\\b${red[1]}\\b ?(.*)$`, 'm'), `$1 ${red[1]} $2$3`)
          .replace(new RegExp(`^(a=fmtp:${opus[1]} .*)$`, 'm'), '$1;usedtx=1');
        return { type: offer.type, sdp };
      };
    },
    async descriptions() {
      const pc = peerOf(publisher.stream);
      return { local: pc.localDescription.sdp, remote: pc.remoteDescription.sdp };
    },
    // How loud the own tone is, from 0 to 1.
    async talk(gain) {
      loudness.gain.value = gain;
    },
    // The peer connection of a subscription ends, as if its network had.
    async breakMedia(streamId) {
      watched.get(streamId).pc().close();
    },
    async events() {
      return events;
    },
    async now() {
      return Date.now();
    },
  };

  window.e2e = Object.fromEntries(
    Object.entries(api).map(([name, f]) => [
      name,
      async (argument) => {
        try {
          return (await f(argument)) ?? null;
        } catch (error) {
          throw plain(error);
        }
      },
    ]),
  );
})();
