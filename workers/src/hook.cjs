// Sends env.AI of every Worker that Miniflare starts in this process to Verge. Load it before wrangler:
//   NODE_OPTIONS="--require <this file>" VERGE_URL=http://127.0.0.1:8780 wrangler dev     (or: vite dev)
//
// Miniflare has no AI of its own: its plugin forwards each call to `ai.remoteProxyConnectionString`, which wrangler
// fills with a session in the cloud. This fills it first. What it relies on: the package "miniflare" is CommonJS, its file is
// dist/src/index.js, and it exports the class Miniflare (and, from version 5 on, convertV4MiniflareOptions, which sees the options
// before the constructor does). wrangler requires it, Cloudflare's Vite plugin imports it. tests/ runs it with the oldest and the newest
// wrangler that are supported.
"use strict";
const Module = require("node:module");

const state = (globalThis[Symbol.for("verge.hook")] ??= { seen: false, bindings: 0 });

function connection() {
  const url = process.env.VERGE_URL;
  if (!url) throw new Error("VERGE_URL is not set: the address of a Verge server, as in http://127.0.0.1:8780");
  const to = new URL("/", url);
  if (process.env.VERGE_IMAGE_RESULT) to.searchParams.set("image_result", process.env.VERGE_IMAGE_RESULT);
  return to;
}

function fill(options) {
  if (!options) return options;
  for (const worker of options.workers ?? [options]) {
    if (!worker?.ai) continue;
    worker.ai = { ...worker.ai, remoteProxyConnectionString: connection() };
    state.bindings += 1;
  }
  // Request.cf would be fetched from the cloud; Miniflare has a placeholder.
  if (options.cf === undefined || options.cf === true) options.cf = false;
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

// The exports are replaced while the module loads: an import of a CommonJS module keeps what they are at the end of that, and does
// not ask Module._load, so that a patch of that one would be seen by require() alone.
const FILE = /[\\/]miniflare[\\/]dist[\\/]src[\\/]index\.js$/;
const load = Module._extensions[".js"];
Module._extensions[".js"] = function (module, filename) {
  load.call(this, module, filename);
  if (FILE.test(filename) && typeof module.exports?.Miniflare === "function") module.exports = patch(module.exports);
};

// Cloudflare's Vite plugin would open a session in the cloud for the AI binding; what it is told here it passes to Miniflare.
process.env.CLOUDFLARE_VITE_FORCE_LOCAL ??= "true";
