// A page in a Chromium of its own, with a camera and a microphone that are not there.
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const http = createServer((_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>media</title>'));
await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
    '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding'],
});
export const page = await (await browser.newContext({ permissions: ['camera', 'microphone'] })).newPage();
page.on('console', (m) => console.log('page:', m.text()));
await page.goto(`http://localhost:${http.address().port}/`);

/** Ends the browser and what serves it. */
export async function close() {
  await browser.close();
  http.close();
}
