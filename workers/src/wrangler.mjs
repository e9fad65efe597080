// Finds the wrangler of a project, or the one that this package brings, and loads it with the hook in place.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const CONFIGS = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/** An error whose message is all that a user needs to read. */
export class UserError extends Error {}

/**
 * Path of the project's configuration: in the folder or the nearest one above it, as wrangler looks for it. `given` is a file,
 * relative to the project or, where none is there, to the current folder.
 */
export function findConfig(project, given) {
  if (!fs.existsSync(project)) throw new UserError(`no such folder: ${project}`);
  if (!fs.statSync(project).isDirectory()) throw new UserError(`${project} is no folder; name the one with wrangler.toml in it`);
  if (given) {
    const found = [path.resolve(project, given), path.resolve(given)].find((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile());
    if (!found) throw new UserError(`no such file: ${path.resolve(project, given)}`);
    return found;
  }
  for (let folder = path.resolve(project); ; folder = path.dirname(folder)) {
    const found = CONFIGS.map((name) => path.join(folder, name)).find((file) => fs.existsSync(file));
    if (found) return found;
    if (folder === path.dirname(folder)) throw new UserError(`${project} has no ${CONFIGS.join(", ")}, nor has a folder above it: this takes a wrangler project`);
  }
}

/** Where wrangler's sessions on this machine find each other, for bindings of one Worker to another. */
function registryPath() {
  if (process.env.WRANGLER_REGISTRY_PATH) return process.env.WRANGLER_REGISTRY_PATH;
  const legacy = path.join(os.homedir(), ".wrangler");
  const isFolder = fs.statSync(legacy, { throwIfNoEntry: false })?.isDirectory();
  return path.join(isFolder ? legacy : path.join(process.env.XDG_CONFIG_HOME || path.join(os.homedir(), ".config"), ".wrangler"), "registry");
}

function answers(address) {
  return new Promise((resolve) => {
    const end = address.lastIndexOf(":");
    const socket = net.connect({ host: address.slice(0, end), port: Number(address.slice(end + 1)) });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false)).once("connect", () => socket.destroy());
  });
}

/** Takes killed sessions out of the registry, where they would stand in the way of their successors for 90 s. */
export async function forgetDead(registry) {
  for (const name of fs.existsSync(registry) ? fs.readdirSync(registry) : []) {
    const file = path.join(registry, name);
    try {
      const { debugPortAddress } = JSON.parse(fs.readFileSync(file, "utf8"));
      if (debugPortAddress && !(await answers(debugPortAddress))) fs.rmSync(file, { force: true });
    } catch {} // being written, or no entry
  }
}

const own = () => require("../package.json");

/** Where workers/install puts what this package depends on: found where npm linked the package and brought nothing with it. */
function installed() {
  const lock = new URL("../package-lock.json", import.meta.url);
  if (!fs.existsSync(lock)) return undefined;
  const key = createHash("sha256").update(fs.readFileSync(lock)).digest("hex").slice(0, 12);
  return path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), ".cache"), "verge", "workers", key);
}

/** Folder of the wrangler package: the project's own where it has one. */
export function findWrangler(project) {
  const places = [project, process.env.VERGE_NPM, process.cwd(), path.dirname(fileURLToPath(import.meta.url)), installed()].filter(Boolean);
  for (const place of places) {
    try {
      return path.dirname(createRequire(path.join(path.resolve(place), "x.js")).resolve("wrangler/package.json"));
    } catch {}
  }
  throw new UserError(`wrangler is not installed here, and an npm that links a folder brings nothing of what it needs. In ${path.resolve(project ?? ".")}: npm install --save-dev wrangler@${own().dependencies.wrangler}`);
}

/** The wrangler module, its Miniflare patched so that env.AI goes to $VERGE_URL. */
export function loadWrangler(project) {
  const folder = findWrangler(project);
  const { version, engines } = require(path.join(folder, "package.json"));
  const wanted = /(\d+)\.(\d+)/.exec(engines?.node ?? "");
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (wanted && (major < +wanted[1] || (major === +wanted[1] && minor < +wanted[2])))
    throw new UserError(`wrangler ${version} needs Node ${engines.node}, this is ${process.version}: run it with that, or install an older wrangler (4.86.0 works on Node 20)`);
  require("./hook.cjs");
  const hook = globalThis[Symbol.for("verge.hook")];
  hook.library = true;
  let wrangler;
  try {
    wrangler = require(folder);
  } catch (error) {
    throw hook.seen ? error : new UserError(error.message); // refused by the hook, or no wrangler that can be loaded
  }
  if (!hook.seen || typeof wrangler.unstable_DevEnv?.prototype.dispatch !== "function")
    throw new UserError(`wrangler ${version} (${folder}) does not start Workers in a way that this version of Verge knows; 4.86.0 and 4.164.0 work: npm install --save-dev wrangler@4`);
  return { wrangler, version, folder, hook };
}

/** What this package brings for hosted Workers, unchanged: wrangler, its Miniflare, croner; `program` is wrangler's command line. */
export function loadOwnWrangler() {
  const folder = findWrangler(process.env.VERGE_NPM);
  const wrangler = require(folder);
  const its = createRequire(path.join(folder, "x.js"));
  return { wrangler, miniflare: its("miniflare"), Cron: its("croner").Cron, program: path.join(folder, "bin", "wrangler.js") };
}

/** The project's configuration as wrangler reads it; what is wrong with it, in wrangler's words, as a UserError. */
export function readConfig(wrangler, config, env) {
  try {
    return wrangler.unstable_readConfig({ config, env });
  } catch (error) {
    const at = error.location ? `:${error.location.line}${error.location.column === undefined ? "" : `:${error.location.column}`}` : "";
    throw new UserError(error.message.includes(path.basename(config)) ? error.message : `${config}${at}: ${error.message}`);
  }
}

/**
 * Starts a project's Worker under wrangler's development server and waits until workerd runs it. A first build or start that fails is
 * thrown, with wrangler's reason; what comes later is wrangler's to say. `dev`: what differs.
 */
export async function startWorker(wrangler, config, { env, ip, port, persistTo }, dev) {
  const registry = registryPath();
  await forgetDead(registry);
  const session = new wrangler.unstable_DevEnv();
  const dispatch = session.dispatch.bind(session);
  let up = false;
  const started = new Promise((resolve, reject) => {
    session.dispatch = (event) => {
      if (!up && event.type === "error") return reject(explainStart(event.cause ?? event));
      dispatch(event);
      if (event.type === "reloadComplete" && !up) {
        up = true;
        resolve();
      }
    };
  });
  started.catch(() => {}); // awaited below, where startWorker() has not thrown before
  try {
    const worker = await session.startWorker({
      config,
      env,
      dev: { remote: false, inspector: false, server: { hostname: ip, port }, persist: persistTo, registry, ...dev },
    });
    await started;
    await worker.ready;
    return worker;
  } catch (error) {
    throw error instanceof UserError ? error : explainStart(error);
  }
}

/** Why wrangler could not start a Worker: its errors with file and line, instead of a stack. */
function explainStart(error) {
  for (let cause = error; cause; cause = cause.cause) {
    if (!cause.errors?.length) continue;
    const lines = cause.errors.map((one) => {
      const at = one.location ? `${one.location.file}:${one.location.line}:${one.location.column}: ` : "";
      return `  ${at}${one.text ?? one.message ?? one}${one.location?.lineText ? `\n    ${one.location.lineText}` : ""}`;
    });
    return new UserError(`the Worker could not be built\n${lines.join("\n")}`);
  }
  const messages = [];
  for (let cause = error; cause; cause = cause.cause) {
    const message = startMessage(cause);
    if (message && !messages.includes(message)) messages.push(message);
  }
  return new UserError(messages.join(": "));
}

/** Miniflare's error without what workerd wrote, which is read elsewhere (runtime_log.mjs). */
export function startMessage(error) {
  return error.message?.split("\nRuntime stderr:")[0].replace(" There is likely additional logging output above.", "");
}
