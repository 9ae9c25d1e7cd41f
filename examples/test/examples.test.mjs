// Runs every example as a user would: its server against a real media node, its
// page in Chromium, and looks at the pictures that arrive.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const examples = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const root = path.dirname(examples);
let browser, node, home, kms;

const freePort = () => new Promise((resolve) => {
  const s = createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); });
});

/** Starts a process and waits for a line that matches. */
async function run(name, command, args, line, env = {}) {
  const child = spawn(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  child.output = () => text;
  await new Promise((resolve, reject) => {
    const see = (chunk) => { text += chunk; if (line.test(text)) resolve(); };
    child.stdout.on('data', see);
    child.stderr.on('data', see);
    child.on('exit', (code) => reject(new Error(`${name} ended with ${code}:\n${text}`)));
    setTimeout(() => reject(new Error(`${name} is not ready:\n${text}`)), 30_000).unref();
  });
  return child;
}

const stop = (child) => child && child.exitCode === null && new Promise((resolve) => { child.on('exit', resolve); child.kill('SIGTERM'); });

before(async () => {
  home = await mkdtemp(path.join(os.tmpdir(), 'govidu-examples-'));
  const port = await freePort();
  kms = `ws://127.0.0.1:${port}/kurento`;
  node = await run('kms', path.join(root, 'bin/kms'),
    [`--kms-listen=127.0.0.1:${port}`, '--media-port=0', `--file-roots=${home}`], /ready/i);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--ignore-certificate-errors'],
  });
});
after(async () => {
  await browser?.close();
  await stop(node);
  await rm(home, { recursive: true, force: true });
});

/** Runs one example's server and gives a function that opens its page. */
async function example(t, name) {
  const port = await freePort();
  const server = await run(name, process.execPath, [path.join(examples, name, 'server.js')], /Open http/, { KMS_URI: kms, PORT: port, RECORDINGS: home });
  const pages = [];
  t.after(async () => {
    for (const p of pages) await p.context().close();
    await stop(server);
  });
  return async () => {
    const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
    const page = await context.newPage();
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && console.log(`${name}: ${m.text()}`));
    await page.goto(`http://localhost:${port}/`);
    pages.push(page);
    page.press = async (id) => {
      await page.click(`#${id}`);
      await page.waitForFunction((want) => [want, 'failed'].includes(document.body.dataset.state), id, { timeout: 30_000 });
      assert.equal(await page.evaluate(() => document.body.dataset.state), id, `${await page.textContent('#log')}\n${server.output()}\n${node.output().slice(-3000)}`);
    };
    return page;
  };
}

/** Waits until the video shows moving pictures: frames go up and are not one colour. */
async function playing(page, selector, more = 15) {
  try {
    await page.waitForFunction(([sel, n]) => {
      const v = document.querySelector(sel);
      if (!v || v.videoWidth === 0) return false;
      v.firstFrames ??= v.getVideoPlaybackQuality().totalVideoFrames;
      return v.getVideoPlaybackQuality().totalVideoFrames >= v.firstFrames + n;
    }, [selector, more], { timeout: 40_000, polling: 100 });
  } catch (error) {
    throw new Error(`${selector} does not play: ${error.message}\n${node.output().slice(-4000)}`);
  }
  const spread = await page.evaluate((sel) => {
    const v = document.querySelector(sel);
    const c = new OffscreenCanvas(64, 48).getContext('2d');
    c.drawImage(v, 0, 0, 64, 48);
    const { data } = c.getImageData(0, 0, 64, 48);
    let low = 255, high = 0;
    for (let i = 0; i < data.length; i += 4) { low = Math.min(low, data[i + 1]); high = Math.max(high, data[i + 1]); }
    return high - low;
  }, selector);
  assert.ok(spread > 40, `${selector} shows one colour (spread ${spread})`);
}

test('hello world: the camera comes back', async (t) => {
  const page = await (await example(t, 'kurento-hello-world'))();
  await page.press('start');
  await playing(page, '#remote');
  await page.press('stop');
});

test('one to many: two watch, and are told of the end', async (t) => {
  const open = await example(t, 'kurento-one-to-many');
  const [presenter, a, b] = [await open(), await open(), await open()];
  await presenter.press('present');
  for (const viewer of [a, b]) {
    await viewer.press('watch');
    await playing(viewer, '#video');
  }
  await presenter.press('stop');
  await a.waitForFunction(() => document.getElementById('caption').textContent.includes('over'), null, { timeout: 20_000 });
});

test('recorder: what was recorded plays', async (t) => {
  const page = await (await example(t, 'kurento-recorder'))();
  await page.press('record');
  await playing(page, '#video', 60);
  await page.press('finish');
  assert.ok((await readdir(home)).some((f) => f.endsWith('.webm')), 'no file');
  await page.press('play');
  await playing(page, '#video', 20);
  await page.waitForFunction(() => document.getElementById('caption').textContent.includes('end'), null, { timeout: 40_000 });
});

test('group call: three see each other, one leaves', async (t) => {
  const open = await example(t, 'kurento-group-call');
  const pages = [await open(), await open(), await open()];
  for (const page of pages) await page.press('join');
  for (const page of pages) {
    await page.waitForFunction(() => document.querySelectorAll('video.remote').length === 2, null, { timeout: 30_000 });
    for (const i of [2, 3]) await playing(page, `main figure:nth-child(${i}) video`);
  }
  await pages[2].press('leave');
  await pages[0].waitForFunction(() => document.querySelectorAll('video.remote').length === 1, null, { timeout: 20_000 });
});

test('magic mirror: the picture comes back mirrored', async (t) => {
  const page = await (await example(t, 'kurento-magic-mirror'))();
  await page.press('start');
  await playing(page, '#remote');
  // The fake camera's picture has its timer text at the left: compare both
  // pictures' columns, as they are and mirrored.
  const mirrored = await page.waitForFunction(() => {
    const columns = (id) => {
      const v = document.getElementById(id);
      const c = new OffscreenCanvas(32, 24).getContext('2d');
      c.drawImage(v, 0, 0, 32, 24);
      const { data } = c.getImageData(0, 0, 32, 24);
      return Array.from({ length: 32 }, (_, x) => { let s = 0; for (let y = 0; y < 24; y++) s += data[(y * 32 + x) * 4] - data[(y * 32 + x) * 4 + 2]; return s; });
    };
    const [l, r] = [columns('local'), columns('remote')];
    const distance = (a, b) => a.reduce((sum, x, i) => sum + Math.abs(x - b[i]), 0);
    return distance(l, [...r].reverse()) * 1.5 < distance(l, r);
  }, null, { timeout: 30_000, polling: 200 });
  assert.ok(mirrored);
  await page.press('stop');
});
