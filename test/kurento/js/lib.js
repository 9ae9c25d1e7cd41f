// What the programs on the unmodified npm clients share: kurento-client 7.3.0 of
// this folder, and 6.18.0 of js6. They need a folder each, because the packages of
// the classes ask for "kurento-client" themselves.
// A program is called as: node NAME.js <ws url> <folder of files> <7|6>
// It prints "ok <what>" per step and "done" at the end; any failure exits with 1.
'use strict';
const assert = require('assert');
const path = require('path');
const [url, files, line = '7'] = process.argv.slice(2);
const six = line === '6';
const kurento = require(require.resolve('kurento-client', { paths: [six ? path.join(__dirname, '..', 'js6') : __dirname] }));

process.on('unhandledRejection', (e) => { console.error('unhandled', e); process.exit(1); });
process.on('uncaughtException', (e) => { console.error('uncaught', e); process.exit(1); });

const ok = (what) => console.log('ok ' + what);

// start opens a client; options are those of kurento(url, options).
const start = (options = {}) => kurento(url, { failAfter: 3, ...options });

// call makes one call with a callback: in promise form the clients only print
// errors and resolve with nothing.
const call = (f) => new Promise((resolve, reject) => f((err, value) => (err ? reject(err) : resolve(value))));

// fails expects a call to be refused.
async function fails(f, code, text) {
  let err;
  try { await call(f); } catch (e) { err = e; }
  assert.ok(err, `expected error ${code}`);
  assert.strictEqual(err.code, code, `${err.code} ${err.message}`);
  assert.match(err.message, text);
  return err;
}

// listen resolves once the subscription is made, to a function that waits for the
// event's data.
async function listen(obj, event) {
  const seen = new Promise((resolve) => obj.once(event, resolve));
  await obj.getName(); // sent after subscribe
  return () => seen;
}

// within bounds a wait.
const within = (ms, what, promise) => Promise.race([promise, new Promise((_, reject) => {
  setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms).unref();
})]);

// run runs a program to its end.
function run(main) {
  setTimeout(() => { console.error('too slow'); process.exit(1); }, 60000).unref();
  main().then(() => { console.log('done'); process.exit(0); }, (e) => { console.error(e); process.exit(1); });
}

module.exports = { assert, kurento, six, url, files, ok, start, call, fails, listen, within, run };
