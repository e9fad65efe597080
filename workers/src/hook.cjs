// Sends env.AI of every Worker that Miniflare starts in this process to Verge. Load it before wrangler:
//   NODE_OPTIONS="--require <this file>" VERGE_URL=http://127.0.0.1:8780 wrangler dev     (or: vite dev)
//
// Miniflare has no AI of its own: its plugin forwards each call to `ai.remoteProxyConnectionString`, which wrangler
// fills with a session in the cloud. This fills it first. What it relies on: the package "miniflare" is CommonJS, its file is
// dist/src/index.js, and it exports the class Miniflare (and, from version 5 on, convertV4MiniflareOptions, which sees the options
// before the constructor does). wrangler requires it, Cloudflare's Vite plugin imports it. tests/ runs it with the oldest and the newest
// wrangler that are supported. A wrangler that gives Miniflare no AI binding (3, the first 4.x) calls the cloud by itself: it is refused.
"use strict";
const Module = require("node:module");
const fs = require("node:fs");
const path = require("node:path");
const { stripVTControlCharacters } = require("node:util");

// seen: Miniflare was patched; bindings: filled ones; wrangler: version, once it is loaded; library: the hook's user ends the process itself;
// quiet: what Workers print is read elsewhere; print: wrangler's way of printing that; mended: wrangler's words are;
// speaking: what is written now is a Worker's.
const state = (globalThis[Symbol.for("verge.hook")] ??= {
  seen: false, bindings: 0, wrangler: undefined, library: false, quiet: false, print: undefined, mended: false, speaking: false, mendWords, past,
});

// wrangler's own lines that are wrong here: nothing is remote, nothing is charged, nothing is collected.
const NOISE = [
  /^🪵 +Logs were written to /,
  /^▲ \[WARNING\] AI bindings? always access(es)? remote resources/,
  /^(▲ \[WARNING\]|\[wrangler:warn\]) Unable to fetch the `Request\.cf` object/,
  /^Cloudflare collects anonymous telemetry about your usage of Wrangler/,
];
const AI_ROW = /^\s*env\.\S+\s+AI\s+(not supported|remote|local)( \[.*\])?\s*$/;

/** Of wrangler's table of bindings: who answers for AI. */
function mendTable(text) {
  const mend = (line) => {
    const [, mode] = AI_ROW.exec(stripVTControlCharacters(line)) ?? [];
    const at = mode ? line.lastIndexOf(mode) : -1;
    return at < 0 ? line : `${line.slice(0, at)}Verge${line.slice(at + mode.length)}`;
  };
  return text.split("\n").map(mend).join("\n");
}

/** From now on, until what it gives is called, wrangler's words are dropped and put right as above; a Worker's are never looked at (past). */
function mendWords() {
  if (state.mended) return () => {};
  state.mended = true;
  const undo = [() => (state.mended = false)];
  for (const stream of [process.stdout, process.stderr]) {
    const before = stream.write;
    const write = before.bind(stream);
    undo.push(() => (stream.write = before));
    stream.write = (chunk, ...rest) => {
      if (state.speaking) return write(chunk, ...rest);
      const text = String(chunk), plain = stripVTControlCharacters(text).trimStart();
      if (!NOISE.some((noise) => noise.test(plain))) return write(plain.includes("env.") ? mendTable(text) : chunk, ...rest);
      const done = rest.find((r) => typeof r === "function");
      if (done) process.nextTick(done);
      return true;
    };
  }
  return () => undo.forEach((one) => one());
}

/** Runs `print`, which says what a Worker says. */
function past(print) {
  state.speaking = true;
  try {
    return print();
  } finally {
    state.speaking = false;
  }
}

function refuse(message) {
  if (state.library) throw new Error(message);
  process.stderr.write(`verge: ${message}\n`);
  process.exit(1);
}

const tooOld = () => `wrangler ${state.wrangler ?? "(of an unknown version)"} sends env.AI to the cloud in a way that cannot be turned to Verge; nothing was started. ` +
  "4.86.0 and 4.164.0 work: npm install --save-dev wrangler@4";

// Where nobody else has asked the server (workers/src/server.mjs does), its refusal is told before the first request meets it.
async function ask(server) {
  const say = (text) => process.stderr.write(`verge: ${text}\n`);
  try {
    const { status } = await fetch(new URL("/run", server), { signal: AbortSignal.timeout(10_000) });
    if (status === 401) say(`the server at ${server.origin} wants a token, which this hook cannot send: verge dev --wrangler sends the one in VERGE_TOKEN`);
    else if (status === 403) say(`the server at ${server.origin} refuses this machine: see its log`);
  } catch (error) {
    const { code = "", message } = error.cause ?? error;
    if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) say(`the certificate of ${server.origin} is not trusted (${message}); verge dev --wrangler trusts the authority in NODE_EXTRA_CA_CERTS`);
    else say(`nobody answers on ${server.origin} (${message}): start it with verge serve`);
  }
}

let server; // once it is known
function connection() {
  const url = process.env.VERGE_URL ?? "http://127.0.0.1:8780";
  if (!URL.canParse("/", url) || !/^https?:/.test(url)) throw new Error(`VERGE_URL is ${url}: it wants the address of a Verge server, as http://127.0.0.1:8780`);
  const to = new URL("/", url);
  if (!server && !state.library) void ask(to);
  server = to;
  if (process.env.VERGE_IMAGE_RESULT) to.searchParams.set("image_result", process.env.VERGE_IMAGE_RESULT);
  return to;
}

const silent = () => {};

function fill(options) {
  if (!options) return options;
  const workers = options.workers ?? [options];
  // How wrangler had its own code call the cloud before Miniflare knew AI.
  if (workers.some((worker) => String(worker?.name).startsWith("__WRANGLER_EXTERNAL_AI_WORKER"))) refuse(tooOld());
  for (const worker of workers) {
    if (!worker?.ai) continue;
    worker.ai = { ...worker.ai, remoteProxyConnectionString: connection() };
    state.bindings += 1;
  }
  // Request.cf would be fetched from the cloud; Miniflare has a placeholder.
  if (options.cf === undefined || options.cf === true) options.cf = false;
  if (state.mended && !state.quiet && options.handleStructuredLogs && !options.handleStructuredLogs.verge) {
    const print = options.handleStructuredLogs;
    options.handleStructuredLogs = Object.assign((said) => past(() => print(said)), { verge: true });
  }
  if (state.quiet) {
    if (options.handleStructuredLogs !== silent && !workers.some((worker) => worker?.name === "ProxyWorker")) state.print = options.handleStructuredLogs;
    options.handleStructuredLogs = silent;
    options.verbose = true; // exceptions outside of fetch are said then only
  }
  return options;
}

function patch(real) {
  const convert = real.convertV4MiniflareOptions;
  class Miniflare extends real.Miniflare {
    constructor(options) {
      super(fill(options));
    }
    setOptions(options) {
      return super.setOptions(fill(options));
    }
  }
  const changed = { Miniflare };
  if (convert) changed.convertV4MiniflareOptions = (options, ...rest) => convert(fill(options), ...rest);
  state.seen = true;
  return new Proxy(real, { get: (target, key) => (key in changed ? changed[key] : Reflect.get(target, key)) });
}

// wrangler's own program: what would leave this machine is turned off or refused before any of its code runs.
function beforeWrangler(filename) {
  const [, script, command, next] = process.argv;
  const program = path.resolve(script ?? "") === path.resolve(filename);
  if (program && command !== "dev" && !(command === "pages" && next === "dev")) return; // not ours: deploy, d1, …
  try {
    state.wrangler = JSON.parse(fs.readFileSync(path.join(path.dirname(filename), "..", "package.json"), "utf8")).version;
  } catch {}
  if (Number(/^\d+/.exec(state.wrangler ?? "")?.[0] ?? 0) < 4) refuse(tooOld());
  if (!program || command !== "dev") return;
  const end = process.argv.indexOf("--");
  const own = end < 0 ? process.argv : process.argv.slice(0, end);
  if (own.some((word) => ["--remote", "-r", "--remote=true"].includes(word)))
    refuse("wrangler dev --remote runs the Worker in the cloud, which Verge does not: leave --remote out");
  if (!own.some((word) => ["--local", "-l"].includes(word))) process.argv.splice(3, 0, "--local"); // bindings marked `remote` stay here
  process.env.WRANGLER_HIDE_BANNER ??= "true"; // it asks the npm registry for a newer wrangler
  mendWords();
}

// The exports are replaced while the module loads: an import of a CommonJS module keeps what they are at the end of that, and does
// not ask Module._load, so that a patch of that one would be seen by require() alone.
const MINIFLARE = /[\\/]miniflare[\\/]dist[\\/]src[\\/]index\.js$/;
const WRANGLER = /[\\/]wrangler[\\/]wrangler-dist[\\/]cli\.js$/;
const load = Module._extensions[".js"];
Module._extensions[".js"] = function (module, filename) {
  if (WRANGLER.test(filename)) beforeWrangler(filename);
  load.call(this, module, filename);
  if (MINIFLARE.test(filename) && typeof module.exports?.Miniflare === "function") module.exports = patch(module.exports);
};

// Cloudflare's Vite plugin would open a session in the cloud for the AI binding; what it is told here it passes to Miniflare.
process.env.CLOUDFLARE_VITE_FORCE_LOCAL ??= "true";
process.env.WRANGLER_SEND_METRICS ??= "false";
