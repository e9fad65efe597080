// `verge dev`: wrangler's own development server (its configuration, bundler, Miniflare and live reload) with env.AI on Verge.
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { tapRuntime } from "./runtime_log.mjs";
import { findConfig, findWrangler, loadWrangler, readConfig, startWorker, UserError } from "./wrangler.mjs";

const say = (text) => process.stdout.write(`verge dev: ${text}\n`);
const warn = (text) => process.stderr.write(`verge dev: ${text}\n`);

/** {"imageResult": "array" | "results"}: the option, else verge.json beside the configuration, else "verge" in package.json. */
export function imageResult(option, folder) {
  const read = (name) => {
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, name), "utf8"));
    } catch (error) {
      if (error.code === "ENOENT") return undefined;
      throw new UserError(`${path.join(folder, name)}: ${error.message}`);
    }
  };
  const value = option ?? read("verge.json")?.imageResult ?? read("package.json")?.verge?.imageResult;
  if (value !== undefined && value !== "array" && value !== "results") throw new UserError(`imageResult is "array" or "results", not ${JSON.stringify(value)}`);
  return value;
}

function portIsFree(port, host) {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, host, () => probe.close(() => resolve(true)));
  });
}

// What a Worker that expects {"results": […]} of an image model does with the published array.
const READS_RESULTS = /Cannot read properties of undefined \(reading '(sort|map|slice|filter|forEach|length|0)'\)/;

/** Looks at what is written from now on: wrangler's words that are wrong here (hook.cjs), and READS_RESULTS, which is explained once. */
function watchOutput(hook, explain) {
  hook.mendWords();
  if (!explain) return;
  let explained = false;
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream);
    stream.write = (chunk, ...rest) => {
      const written = write(chunk, ...rest);
      if (!explained && READS_RESULTS.test(String(chunk))) {
        explained = true;
        warn(explain);
      }
      return written;
    };
  }
}

/** Stops once, whatever asks first; a stop that hangs is cut off. */
function onStop(stop) {
  let stopping = false;
  const end = async (code) => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(code), 3000).unref();
    await Promise.resolve(stop()).catch(() => {});
    process.exit(code);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => end(0));
  return end;
}

async function waitForExit(child) {
  return new Promise((resolve) => child.on("exit", (code, signal) => resolve(code ?? (signal ? 1 : 0))));
}

/**
 * Runs until it is stopped.
 * options: {project, config, env, ip, port, persistTo, imageResult, logLevel, testScheduled, server}; $VERGE_URL leads to the server.
 */
export async function dev(options) {
  const config = findConfig(options.project, options.config);
  const folder = path.dirname(config);
  const shape = imageResult(options.imageResult, folder);
  if (shape) process.env.VERGE_IMAGE_RESULT = shape;
  if (!(await portIsFree(options.port, options.ip)))
    throw new UserError(`port ${options.port} on ${options.ip} is in use: stop what listens there, or choose another with --port`);
  const persistTo = options.persistTo && path.resolve(options.persistTo);
  process.chdir(folder); // build commands run there, and wrangler's relative paths start there

  const { wrangler, version, hook } = loadWrangler(folder);
  watchOutput(
    hook,
    shape === "results"
      ? undefined
      : "the Worker read `.results` of an answer that has none. Image models answer with an array, as published; for Workers that expect {results: […]}: verge dev --image-result results, or {\"imageResult\": \"results\"} in verge.json",
  );
  const read = readConfig(wrangler, config, options.env);
  if (!read.ai?.binding)
    warn(`${path.basename(config)} has no AI binding, so env.AI will be undefined in the Worker. To add it: ${config.endsWith(".toml") ? '[ai] binding = "AI"' : '"ai": { "binding": "AI" }'}`);
  hook.quiet = true;
  const print = (said) => hook.past(() => hook.print?.(said));
  const allRead = tapRuntime(print, (errors) => errors.forEach((message) => print({ level: "error", message })));
  const worker = await startWorker(wrangler, config, { ...options, persistTo }, { logLevel: options.logLevel ?? "log", watch: true, liveReload: true, testScheduled: options.testScheduled }).catch(async (error) => {
    await allRead();
    throw error;
  });
  const end = onStop(() => worker.dispose());
  worker.raw.on("error", (event) => {
    // Build errors are shown by wrangler, which waits for the next change.
    if (event?.source === "BundlerController") return;
    warn(`${event?.reason ?? "failed"}: ${event?.cause?.message ?? event}`);
  });
  const url = await worker.url;
  if (read.ai?.binding && hook.bindings === 0) {
    warn(`env.AI did not reach Verge: wrangler ${version} starts Workers in a way that this version does not know (4.86.0 and 4.164.0 work)`);
    return end(1);
  }
  say(`ready on ${url.origin}${read.ai?.binding ? `, env.${read.ai.binding} answered by ${options.server}` : ""}`);
  if (read.triggers?.crons?.length && !options.testScheduled)
    say(`cron triggers do not fire by themselves here; this runs the handler: curl "${url.origin}/cdn-cgi/handler/scheduled"`);
}

/** `verge dev --wrangler`: stock `wrangler dev`, with the hook; further arguments are wrangler's. */
export async function devWithWrangler(options, rest) {
  const config = findConfig(options.project, options.config);
  const folder = path.dirname(config);
  const shape = imageResult(options.imageResult, folder);
  const bin = path.join(findWrangler(folder), "bin", "wrangler.js");
  const hook = new URL("./hook.cjs", import.meta.url).pathname;
  const child = spawn(process.execPath, [bin, "dev", "--config", config, "--local", "--ip", options.ip, "--port", String(options.port), ...(options.env ? ["--env", options.env] : []), ...rest], {
    cwd: folder,
    stdio: "inherit",
    env: {
      ...process.env,
      NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --require ${JSON.stringify(hook)}`.trim(),
      WRANGLER_SEND_METRICS: "false",
      ...(shape ? { VERGE_IMAGE_RESULT: shape } : {}),
    },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  process.exit(await waitForExit(child));
}
