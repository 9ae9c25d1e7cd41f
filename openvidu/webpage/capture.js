// Runs beside the page in a world of its own: the page sees neither this nor the
// connection. It captures the tab and sends it.
(() => {
  let pc, video;
  const pause = ms => new Promise(done => setTimeout(done, ms));
  globalThis.govidu = {
    async start({frameRate, audio, bitrate}) {
      if (!navigator.mediaDevices?.getDisplayMedia) throw new Error('the page is no secure context');
      const stream = await navigator.mediaDevices.getDisplayMedia({
        preferCurrentTab: true, selfBrowserSurface: 'include', surfaceSwitching: 'exclude',
        video: {frameRate: {ideal: frameRate, max: frameRate}, cursor: 'never'},
        audio: audio && {echoCancellation: false, noiseSuppression: false, autoGainControl: false},
      });
      pc = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
      for (const track of stream.getAudioTracks()) pc.addTransceiver(track, {direction: 'sendonly', streams: [stream]});
      [video] = stream.getVideoTracks();
      video.contentHint = 'motion';
      const line = pc.addTransceiver(video, {
        direction: 'sendonly', streams: [stream], sendEncodings: [{maxBitrate: bitrate, maxFramerate: frameRate}],
      });
      const codecs = RTCRtpSender.getCapabilities('video').codecs;
      const rank = c => ({'video/VP8': 0, 'video/rtx': 1}[c.mimeType] ?? 2);
      line.setCodecPreferences(codecs.map((c, i) => [c, i]).sort((a, b) => rank(a[0]) - rank(b[0]) || a[1] - b[1]).map(x => x[0]));
      await pc.setLocalDescription(await pc.createOffer());
      for (let i = 0; i < 40 && pc.iceGatheringState !== 'complete'; i++) await pause(25);
      return pc.localDescription.sdp;
    },
    async answer(sdp) {
      await pc.setRemoteDescription({type: 'answer', sdp});
      const {sender} = pc.getTransceivers().find(t => t.sender.track === video);
      const p = sender.getParameters();
      p.degradationPreference = 'maintain-resolution';
      await sender.setParameters(p);
    },
    candidate: c => pc.addIceCandidate(c),
    state: () => ({connection: pc.connectionState, ended: video.readyState === 'ended'}),
  };
})();
