// The hands of the Go tests: drives Chromium over its debugging port and the
// unmodified openvidu-node-client. One JSON object per line in and out:
//   in   {"id":1,"op":"open","params":{…}}
//   out  {"id":1,"result":…} or {"id":1,"error":{"name","message","code"}}
//   out  {"log":{"page","level","text"}}          browser console, as it comes
// It asserts nothing and waits for nothing: that is the tests' work.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

// stdout belongs to the answers; what libraries print goes to the log.
for (const level of ['log', 'info', 'debug', 'trace']) console[level] = console.error;
const { default: nodeClient } = await import('openvidu-node-client');

const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');

let browser;
let firefox;
let openvidu;
const pages = new Map();
const sessions = new Map();

function page(id) {
  const entry = pages.get(id);
  if (!entry) throw new Error(`no page ${id}`);
  return entry.page;
}

// openFirefox opens a page in Firefox, whose objects are near enough to Chromium's.
async function openFirefox(id, url) {
  const context = await firefox.createBrowserContext();
  const opened = await context.newPage();
  opened.on('console', (message) => say({ log: { page: id, level: message.type(), text: message.text() } }));
  opened.on('pageerror', (error) => say({ log: { page: id, level: 'exception', text: String(error.stack || error) } }));
  pages.set(id, { page: opened, context });
  await opened.goto(url);
}

const testid = (params) => page(params.page).getByTestId(params.testid);

const ops = {
  async connect({ endpoint }) {
    browser = await chromium.connectOverCDP(endpoint);
    return browser.version();
  },
  // Firefox, over WebDriver BiDi.
  async connectFirefox({ endpoint }) {
    const { default: puppeteer } = await import('puppeteer-core');
    firefox = await puppeteer.connect({ browserWSEndpoint: endpoint, protocol: 'webDriverBiDi', acceptInsecureCerts: true, defaultViewport: null });
    return firefox.version();
  },
  async open({ page: id, url, width, height, mobile }) {
    if (firefox) return openFirefox(id, url);
    const context = await browser.newContext({
      ignoreHTTPSErrors: true,
      acceptDownloads: true,
      viewport: width ? { width, height } : undefined,
      isMobile: Boolean(mobile),
      hasTouch: Boolean(mobile),
      deviceScaleFactor: mobile ? 2 : 1,
    });
    const opened = await context.newPage();
    opened.on('console', (message) => say({ log: { page: id, level: message.type(), text: message.text() } }));
    opened.on('pageerror', (error) => say({ log: { page: id, level: 'exception', text: String(error.stack || error) } }));
    opened.on('crash', () => say({ log: { page: id, level: 'crash', text: 'page crashed' } }));
    pages.set(id, { page: opened, context });
    await opened.goto(url);
  },
  async call({ page: id, fn, arg }) {
    // Errors cross page.evaluate as text only, so they are carried as data.
    const answer = await page(id).evaluate(
      async ({ fn, arg }) => {
        try {
          return { result: await window.e2e[fn](arg) };
        } catch (error) {
          return { error: { name: error.name, message: error.message, code: error.code } };
        }
      },
      { fn, arg },
    );
    if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error);
    return answer.result;
  },
  evaluate: ({ page: id, code }) => page(id).evaluate(code),
  click: (params) => testid(params).click({ timeout: params.timeout }),
  fill: (params) => testid(params).fill(params.text, { timeout: params.timeout }),
  text: async (params) => ((await testid(params).count()) ? testid(params).first().innerText() : null),
  attribute: (params) => testid(params).first().getAttribute(params.name),
  count: (params) => testid(params).count(),
  visible: (params) => testid(params).first().isVisible(),
  screenshot: async ({ page: id, path }) => void (await page(id).screenshot({ path })),
  async crash({ page: id }) {
    const cdp = await page(id).context().newCDPSession(page(id));
    cdp.send('Page.crash').catch(() => {}); // the answer dies with the page
  },
  async close({ page: id }) {
    const entry = pages.get(id);
    pages.delete(id);
    if (entry) await entry.context.close();
  },

  // openvidu-node-client
  'node.new'({ url, secret }) {
    sessions.clear();
    openvidu = new nodeClient.OpenVidu(url, secret);
    return { constructed: openvidu instanceof nodeClient.OpenVidu };
  },
  async 'node.createSession'({ properties }) {
    const session = await openvidu.createSession(properties);
    sessions.set(session.sessionId, session);
    return describe(session);
  },
  async 'node.createConnection'({ session, properties }) {
    return describe(await sessions.get(session).createConnection(properties));
  },
  async 'node.fetch'({ session }) {
    if (!session) return { changed: await openvidu.fetch(), active: openvidu.activeSessions.map(describe) };
    const changed = await sessions.get(session).fetch();
    return { changed, session: describe(sessions.get(session)) };
  },
  'node.forceDisconnect': ({ session, connection }) => sessions.get(session).forceDisconnect(connection),
  'node.forceUnpublish': ({ session, stream }) => sessions.get(session).forceUnpublish(stream),
  'node.updateConnection': async ({ session, connection, properties }) =>
    describe(await sessions.get(session).updateConnection(connection, properties)),
  'node.close': ({ session }) => sessions.get(session).close(),
  'node.startRecording': async ({ session, properties }) => describe(await openvidu.startRecording(session, properties)),
  'node.stopRecording': async ({ recording }) => describe(await openvidu.stopRecording(recording)),
  'node.startBroadcast': ({ session, url, properties }) => openvidu.startBroadcast(session, url, properties ?? undefined),
  'node.stopBroadcast': ({ session }) => openvidu.stopBroadcast(session),
  'node.getRecording': async ({ recording }) => describe(await openvidu.getRecording(recording)),
  'node.listRecordings': async () => (await openvidu.listRecordings()).map(describe),
  'node.deleteRecording': ({ recording }) => openvidu.deleteRecording(recording),
};

// describe makes plain data of the client's objects, which point back at the
// OpenVidu object that made them.
function describe(object) {
  return JSON.parse(JSON.stringify(object, (key, value) => (key === 'ov' ? undefined : value)));
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, op, params } = JSON.parse(line);
  try {
    if (!ops[op]) throw new Error(`no operation ${op}`);
    say({ id, result: (await ops[op](params ?? {})) ?? null });
  } catch (error) {
    say({ id, error: { name: String(error.name), message: String(error.message), code: error.code ?? null } });
  }
}).on('close', () => process.exit(0));
