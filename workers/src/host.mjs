// `verge serve --worker DIR`: a Worker as a long-lived service on workerd, behind the gateway, which is the parent of this process. The
// project is bundled as for a deployment, and workerd gets it without a development server: the gateway talks to a socket that leads to
// the Worker and to nothing else. Lines of JSON on descriptor 3 say what happens: {"state": "built", …}, "ready", "failed" and "log"; those on
// the standard input what to do: {"do": "start", …}, "live" and "retire", see src/hosting/hosted_process.h.
import path from "node:path";
import fs from "node:fs";
import os from "node:os";
import { format, stripVTControlCharacters } from "node:util";
import { buildWorker, miniflareOptions } from "./bundle.mjs";
import { checkCrons, schedule } from "./cron.mjs";
import { PROBE, watchForLoops } from "./loop.mjs";
import { imageResult } from "./dev.mjs";
import { bindProducers, consume, QueueStore, serveProducers } from "./queues.mjs";
import { takeName } from "./registry.mjs";
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

let ending = false; // asked to stop

// Gives what an exception says the places of the source, once there is a bundle.
let mapped = (text) => text;

// Cloudflare's default of the paid plan; `limits.cpu_ms` of the configuration says otherwise.
const CPU_MS = 30_000;

/** What of a configuration is the gateway's business. */
function shapeOf(config) {
  const own = (bindings) => (bindings ?? []).some((one) => !one.script_name);
  return {
    name: config.name ?? "worker",
    routes: routesOf(config),
    workers_dev: config.workers_dev ?? true,
    queues: consumersOf(config).map(({ queue }) => queue),
    exclusive: own(config.durable_objects?.bindings) || own(config.workflows) || (config.migrations ?? []).length > 0,
  };
}

function consumersOf(config) {
  return (config.queues?.consumers ?? []).filter(({ type }) => type !== "http_pull");
}

/** Its configuration. Of an environment that is not there, where there are none, wrangler takes what is outside all of them: other data. */
function readHosted(wrangler, file, env) {
  const config = readConfig(wrangler, file, env);
  if (env && config.definedEnvironments && !config.definedEnvironments.includes(env)) throw new UserError(`${path.basename(file)} has no environment '${env}' (--worker-env)`);
  return config;
}

/** What wrangler prints is a line of the log. Its warning of charges is not true here: env.AI is this server. */
function tapConsole() {
  const levels = { debug: "debug", log: "info", info: "info", warn: "warn", error: "error" };
  for (const [method, level] of Object.entries(levels)) {
    console[method] = (...words) => {
      const message = stripVTControlCharacters(format(...words)).trim();
      if (message && !message.includes("bindings always access remote resources")) log({ level, message });
    };
  }
}

/** projects: [{project, env}]. For each its shape, or {error}. */
export function describe(projects) {
  const { wrangler } = loadOwnWrangler();
  return projects.map(({ project, env }) => {
    try {
      return shapeOf(readHosted(wrangler, findConfig(project), env || undefined));
    } catch (error) {
      return { error: stripVTControlCharacters(error.message) };
    }
  });
}

/** Calls `take` with each object that comes in, one a line, and `end` where the other side is gone. */
function listen(take, end) {
  let rest = "";
  process.stdin.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line));
  });
  process.stdin.on("end", end);
}

/** Starts what was built and ends it again, with storage of its own: whether it can run at all is known before what runs now has to end. */
async function tryOut(miniflare, options) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "verge-trial-"));
  try {
    const trial = new miniflare.Miniflare(miniflare.convertV4MiniflareOptions({ ...options, resourcePersistencePath: folder, resourceTmpPath: path.join(folder, "tmp"), unsafeDevRegistryPath: path.join(folder, "registry") }));
    await trial.ready.finally(() => trial.dispose().catch(() => {}));
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Options, and `runtimePid()`: the process of workerd. */
async function start(options, runtimePid) {
  const orders = new Map(); // "start", "live", "retire": what to do then
  const order = (name) => new Promise((resolve) => orders.set(name, resolve));
  const [toStart, toLive, toRetire] = ["start", "live", "retire"].map(order);
  let runtime;
  let stopWork = async () => {};
  const stop = async () => {
    ending = true;
    setTimeout(() => process.exit(0), 3000).unref();
    await Promise.resolve(stopWork(false)).catch(() => {});
    await runtime?.dispose().catch(() => {});
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, stop);
  listen((line) => orders.get(line.do)?.(line), stop);

  const file = findConfig(options.project, options.config);
  const folder = path.dirname(file);
  const shape = imageResult(options.imageResult, folder);
  const persistTo = path.resolve(options.persistTo);
  const registry = path.resolve(options.registry);
  process.chdir(folder);

  const { wrangler, miniflare, Cron, program } = loadOwnWrangler();
  const config = readHosted(wrangler, file, options.env);
  checkCrons(Cron, config.triggers?.crons ?? []);
  const bundle = await buildWorker(program, config, { file, env: options.env });
  mapped = bundle.mapped;
  const described = shapeOf(config);
  const { name } = described;
  let store;
  const consumers = consumersOf(config);
  let changed = () => {};
  if (consumers.length || config.queues?.producers?.length) {
    store = new QueueStore(path.resolve(options.queues));
    const delays = new Map((config.queues.producers ?? []).map((one) => [one.queue, one.delivery_delay ?? 0]));
    bindProducers(miniflare, await serveProducers(store, delays, () => changed()));
  }
  const made = (ai) => miniflareOptions(wrangler, miniflare, { config, name, env: options.env, secrets: options.secrets, bundle, ai, persistTo, registry, log });
  if (options.successor && described.exclusive) await tryOut(miniflare, made(new URL("http://127.0.0.1:1/")));
  report({ state: "built", ...described });

  const ai = new URL((await toStart).server);
  if (shape) ai.searchParams.set("image_result", shape);
  await forgetDead(registry);
  const handBack = options.successor ? takeName(registry, name) : () => {};
  runtime = new miniflare.Miniflare(miniflare.convertV4MiniflareOptions(made(ai)));
  await runtime.ready.finally(handBack);
  const url = await runtime.unsafeGetDirectURL(name);
  const limitMs = config.limits?.cpu_ms ?? CPU_MS;
  watchForLoops({
    url: await runtime.unsafeGetDirectURL(PROBE.name),
    pid: runtimePid,
    limitMs,
    cut(why) {
      log({ level: "error", message: `the Worker ${why}; it is cut and started again` });
      store?.giveBack(true); // one of them may be why
      process.kill(runtimePid(), "SIGKILL");
      process.exit(1);
    },
  });
  const worker = await runtime.getWorker(name);
  toLive.then(() => {
    const say = (message) => log({ level: "warn", message });
    const cron = schedule(Cron, config.triggers?.crons ?? [], {
      file: path.join(persistTo, "cron.json"),
      say,
      // What the handler throws is in the log by itself.
      fire: (cron, time) => worker.scheduled({ cron, scheduledTime: new Date(time) }).catch((error) => log({ level: "error", message: `cron "${cron}": ${error.message}` })),
    });
    const taken = consumers.map((consumer) => consume(store, consumer, (messages) => worker.queue(consumer.queue, messages), say));
    changed = () => taken.forEach((one) => one.wake());
    const watcher = taken.length ? store.watch(() => changed()) : undefined;
    stopWork = async (finish) => {
      cron.stop();
      watcher?.close();
      changed = () => {};
      const settled = Promise.all(taken.map((one) => one.stop()));
      if (finish) await settled;
      else store?.giveBack();
    };
  }).catch((error) => {
    log({ level: "error", message: error.stack ?? String(error) });
    process.exit(1);
  });
  toRetire.then(() => stopWork(true));
  report({ state: "ready", port: Number(url.port) });
}

export async function host(options) {
  tapConsole();
  const words = []; // the runtime's own, where it ends
  let up = false;
  let runtime; // the process
  const allRead = tapRuntime(
    ({ level, message }) => log({ level, message: level === "error" ? mapped(message) : message }),
    (errors) => (up ? errors.forEach((message) => log({ level: "error", message })) : words.push(...errors)),
    (child) => {
      runtime = child;
      // Miniflare would start another one, on another port and behind the back of cron and queues.
      child.on("close", (code, signal) => {
        if (!up || ending) return;
        log({ level: "error", message: `the runtime ended: ${signal ?? `exit ${code}`}` });
        setImmediate(() => process.exit(1));
      });
    },
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
