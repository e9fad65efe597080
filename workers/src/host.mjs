// `verge serve --worker DIR`: a Worker as a long-lived service on workerd, behind the gateway, which is the parent of this process. The
// project is bundled as for a deployment, and workerd gets it without a development server: the gateway talks to a socket that leads to
// the Worker and to nothing else. Lines of JSON on descriptor 3 say what happens: {"state": "ready", …}, "failed" and "log".
import path from "node:path";
import fs from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { buildWorker, miniflareOptions } from "./bundle.mjs";
import { schedule } from "./cron.mjs";
import { PROBE, watchForLoops } from "./loop.mjs";
import { imageResult } from "./dev.mjs";
import { tapRuntime } from "./runtime_log.mjs";
import { findConfig, forgetDead, loadOwnWrangler, readConfig, startMessage, UserError } from "./wrangler.mjs";

// A line of descriptor 3 may have 64 KiB; a character may become six bytes in JSON.
const PIECE = 10_000;

function report(line) {
  fs.writeSync(3, `${JSON.stringify(line)}\n`);
}

/** What is to be read in the server's log; long messages go in pieces, all but the last marked `more`. */
function log({ level, message }) {
  let at = 0;
  while (message.length - at > PIECE) {
    const pair = (message.charCodeAt(at + PIECE - 1) & 0xfc00) === 0xd800; // the halves of a character stay together
    const end = at + PIECE - (pair ? 1 : 0);
    report({ state: "log", level, message: message.slice(at, end), more: true });
    at = end;
  }
  report({ state: "log", level, message: message.slice(at) });
}

/** "example.com/api/*", {pattern: …}: as in wrangler's `route` and `routes`. */
function routesOf(config) {
  const all = [...(config.routes ?? []), ...(config.route ? [config.route] : [])];
  return all.map((route) => (typeof route === "string" ? route : route.pattern)).filter(Boolean);
}

// Gives what an exception says the places of the source, once there is a bundle.
let mapped = (text) => text;

// Cloudflare's default of the paid plan; `limits.cpu_ms` of the configuration says otherwise.
const CPU_MS = 30_000;

/** Options, and `runtimePid()`: the process of workerd. */
async function start(options, runtimePid) {
  const file = findConfig(options.project, options.config);
  const folder = path.dirname(file);
  const shape = imageResult(options.imageResult, folder);
  const ai = new URL("/", process.env.VERGE_URL);
  if (shape) ai.searchParams.set("image_result", shape);
  const persistTo = path.resolve(options.persistTo);
  const registry = path.resolve(options.registry);
  process.chdir(folder);

  const { wrangler, miniflare, Cron, program } = loadOwnWrangler();
  const config = readConfig(wrangler, file, options.env);
  const bundle = await buildWorker(program, config, { file, env: options.env });
  mapped = bundle.mapped;
  const name = config.name ?? "worker";
  await forgetDead(registry);
  const runtime = new miniflare.Miniflare(
    miniflare.convertV4MiniflareOptions(miniflareOptions(wrangler, miniflare, { config, name, env: options.env, bundle, ai, persistTo, registry, log })),
  );
  const stop = async () => {
    setTimeout(() => process.exit(0), 3000).unref();
    await runtime.dispose().catch(() => {});
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);
  process.stdin.resume().on("end", stop); // the gateway is gone
  await runtime.ready;
  const url = await runtime.unsafeGetDirectURL(name);
  const limitMs = config.limits?.cpu_ms ?? CPU_MS;
  watchForLoops({
    url: await runtime.unsafeGetDirectURL(PROBE.name),
    pid: runtimePid(),
    limitMs,
    cut() {
      log({ level: "error", message: `the Worker computed for more than ${limitMs} ms in one stretch (limits.cpu_ms); it is cut and started again` });
      process.kill(runtimePid(), "SIGKILL");
      process.exit(1);
    },
  });
  const worker = await runtime.getWorker(name);
  schedule(Cron, config.triggers?.crons ?? [], {
    file: path.join(persistTo, "cron.json"),
    say: (message) => log({ level: "warn", message }),
    // What the handler throws is in the log by itself.
    fire: (cron, time) => worker.scheduled({ cron, scheduledTime: new Date(time) }).catch((error) => log({ level: "error", message: `cron "${cron}": ${error.message}` })),
  });
  report({ state: "ready", name, port: Number(url.port), routes: routesOf(config) });
}

export async function host(options) {
  const words = []; // the runtime's own, where it ends
  let up = false;
  let runtime; // the process
  const allRead = tapRuntime(
    ({ level, message }) => log({ level, message: level === "error" ? mapped(message) : message }),
    (errors) => (up ? errors.forEach((message) => log({ level: "error", message })) : words.push(...errors)),
    (child) => (runtime = child),
  );
  try {
    await start(options, () => runtime.pid);
    up = true;
  } catch (error) {
    await allRead();
    const known = error instanceof UserError || error?.constructor?.name === "MiniflareCoreError";
    const reason = [known ? startMessage(error) : (error?.stack ?? String(error)), ...words.map(mapped)].join("\n");
    report({ state: "failed", error: stripVTControlCharacters(reason).slice(0, PIECE) });
    process.exit(1);
  }
}
