// A project as it would be deployed: bundled by wrangler, without what its development server puts in, and with the options of Miniflare
// that its configuration asks for. Used for hosted Workers only.
import { spawn } from "node:child_process";
import fs from "node:fs";
import { SourceMap } from "node:module";
import os from "node:os";
import path from "node:path";
import { PROBE } from "./loop.mjs";
import { UserError } from "./wrangler.mjs";

const NO_SCRIPT = 'export default { fetch() { return new Response("Not found", { status: 404 }); } };'; // a Worker of assets alone

function run(program, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, CI: "1", NO_COLOR: "1", FORCE_COLOR: "0", WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true", NODE_OPTIONS: "" },
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
    child.on("error", reject).on("close", (code) => resolve({ code, said: said.split("\n").filter((line) => !line.includes("Logs were written to")).join("\n").trim() }));
  });
}

/** The files that wrangler wrote, with the types that the configuration's rules give them. */
function modulesOf(folder, rules, main) {
  const modules = [];
  for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    const name = path.relative(folder, file);
    if (!entry.isFile() || name === main || name === "README.md" || name === "meta.json" || name.endsWith(".map")) continue;
    const rule = rules.find(({ globs }) => globs.some((glob) => path.matchesGlob(name, glob)));
    modules.push({ type: rule?.type ?? (name.endsWith(".js") || name.endsWith(".mjs") ? "ESModule" : "Data"), path: name, contents: fs.readFileSync(file) });
  }
  return modules;
}

const RULES = [
  { type: "Text", globs: ["**/*.txt", "**/*.html", "**/*.sql"] },
  { type: "Data", globs: ["**/*.bin"] },
  { type: "CompiledWasm", globs: ["**/*.wasm", "**/*.wasm?module"] },
];

/** "…/index.js:39:19" of the bundle -> "src/shop.ts:10:3", for each such place in a text. */
function mapper(main, mapFile, project) {
  if (!fs.existsSync(mapFile)) return (text) => text;
  const map = new SourceMap(JSON.parse(fs.readFileSync(mapFile, "utf8")));
  const place = new RegExp(`(?:file://)?[^\\s()]*\\b${main.replaceAll(".", "\\.")}:(\\d+):(\\d+)`, "g");
  return (text) =>
    text.replace(place, (whole, line, column) => {
      const { originalSource, originalLine, originalColumn } = map.findEntry(Number(line) - 1, Number(column) - 1);
      if (originalSource === undefined) return whole;
      return `${path.relative(project, path.resolve(path.dirname(mapFile), originalSource))}:${originalLine + 1}:${originalColumn + 1}`;
    });
}

/**
 * Runs the project's build command and bundles it; wrangler's words are the error where that fails.
 * Gives {options: Miniflare's options of the script, mapped: puts the source's places for the bundle's into a stack}.
 */
export async function buildWorker(program, config, { file, env }) {
  if (!config.main) return { options: { modules: [{ type: "ESModule", path: "none.mjs", contents: NO_SCRIPT }] }, mapped: (text) => text };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "verge-bundle-"));
  try {
    const { code, said } = await run(program, ["deploy", "--dry-run", "--outdir", folder, "--metafile", path.join(folder, "meta.json"), "--autoconfig=false", "--config", file, ...(env ? ["--env", env] : [])]);
    if (code !== 0) throw new UserError(`the Worker could not be built:\n${said}`);
    let main = path.basename(config.main);
    let isModule = true;
    const meta = path.join(folder, "meta.json");
    if (fs.existsSync(meta)) {
      const outputs = JSON.parse(fs.readFileSync(meta, "utf8")).outputs;
      const [name, output] = Object.entries(outputs).find(([, one]) => one.entryPoint) ?? [];
      if (name) main = path.basename(name);
      isModule = !output || output.exports.length > 0;
    }
    const contents = fs.readFileSync(path.join(folder, main), "utf8");
    const mapped = mapper(main, path.join(folder, `${main}.map`), path.dirname(file));
    if (!isModule) return { options: { script: contents }, mapped };
    return { options: { modules: [{ type: "ESModule", path: main, contents }, ...modulesOf(folder, [...config.rules, ...RULES], main)] }, mapped };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Miniflare's options for one hosted Worker (the shape of version 4): no explorer, no triggers by URL, no trace store, no request of `cf` data. */
export function miniflareOptions(wrangler, miniflare, { config, name, env, secrets, bundle, ai, persistTo, registry, log }) {
  const { workerOptions, externalWorkers } = wrangler.unstable_getMiniflareWorkerOptions(config, env, { remoteProxyConnectionString: undefined, envFiles: secrets ? [secrets] : undefined, overrides: { enableContainers: false } });
  const { modulesRules, ...own } = workerOptions; // the bundle has its modules already
  delete own.queueConsumers; // queues.mjs has them
  if (own.ai) own.ai = { ...own.ai, remoteProxyConnectionString: ai };
  class GatewayLog extends miniflare.Log {
    log(message) {
      log({ level: "info", message });
    }
  }
  for (const level of ["error", "warn", "info"]) {
    GatewayLog.prototype[level] = (message) => log({ level, message: String(message?.stack ?? message) });
  }
  return {
    host: "127.0.0.1",
    port: 0,
    cf: {}, // what the gateway knows of a request comes with each
    log: new GatewayLog(miniflare.LogLevel.WARN),
    verbose: true, // exceptions outside of fetch are said then only
    handleStructuredLogs() {},
    logRequests: false,
    unsafeTriggerHandlers: false,
    unsafeLocalExplorer: false,
    unsafeObservability: false,
    unsafeInspectDurableObjects: false,
    unsafeDevRegistryPath: registry,
    telemetry: { enabled: false },
    resourcePersistencePath: path.join(persistTo, "v3"),
    resourceTmpPath: path.join(persistTo, "tmp"),
    workers: [{ ...own, ...bundle.options, name, unsafeDirectSockets: [{ host: "127.0.0.1", port: 0, proxy: true }] }, PROBE, ...externalWorkers],
  };
}
