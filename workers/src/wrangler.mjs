// Finds the wrangler of a project, or the one that this package brings, and loads it with the hook in place.
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

const require = createRequire(import.meta.url);
const CONFIGS = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/** An error whose message is all that a user needs to read. */
export class UserError extends Error {}

/** Path of the project's configuration; `given` is a file, relative to the project. */
export function findConfig(project, given) {
  if (!fs.existsSync(project)) throw new UserError(`no such folder: ${project}`);
  if (!fs.statSync(project).isDirectory()) throw new UserError(`${project} is no folder; name the one with wrangler.toml in it`);
  const names = given ? [given] : CONFIGS;
  const found = names.map((name) => path.resolve(project, name)).find((file) => fs.existsSync(file));
  if (!found) throw new UserError(given ? `no such file: ${path.resolve(project, given)}` : `${project} has no ${CONFIGS.join(", ")}: this takes a wrangler project`);
  return found;
}

/** Folder of the wrangler package: the project's own where it has one. */
export function findWrangler(project) {
  const places = [project, process.env.VERGE_NPM, path.dirname(new URL(import.meta.url).pathname)].filter(Boolean);
  for (const place of places) {
    try {
      return path.dirname(createRequire(path.join(path.resolve(place), "x.js")).resolve("wrangler/package.json"));
    } catch {}
  }
  throw new UserError("wrangler is not installed: run workers/install, or npm install wrangler in the project");
}

/** The wrangler module, its Miniflare patched so that env.AI goes to $VERGE_URL. */
export function loadWrangler(project) {
  const folder = findWrangler(project);
  const { version, engines } = require(path.join(folder, "package.json"));
  const wanted = /(\d+)\.(\d+)/.exec(engines?.node ?? "");
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (wanted && (major < +wanted[1] || (major === +wanted[1] && minor < +wanted[2])))
    throw new UserError(`wrangler ${version} needs Node ${engines.node}, this is ${process.version}`);
  require("./hook.cjs");
  const wrangler = require(folder);
  if (!globalThis[Symbol.for("verge.hook")].seen)
    throw new Error(`wrangler ${version} does not load Miniflare in a way that this version of verge-workers knows; it works with 4.86.0 and 4.164.0`);
  if (typeof wrangler.unstable_startWorker !== "function") throw new Error(`wrangler ${version} has no unstable_startWorker; 4.86.0 and 4.164.0 have`);
  return { wrangler, version, folder };
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

/** Starts a project's Worker on workerd; what `verge dev` and a hosted Worker have in common. `dev`: what differs. */
export async function startWorker(wrangler, config, { env, ip, port, persistTo }, dev) {
  try {
    return await wrangler.unstable_startWorker({
      config,
      env,
      dev: { remote: false, inspector: false, server: { hostname: ip, port }, persist: persistTo, ...dev },
    });
  } catch (error) {
    throw explainStart(error);
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
  for (let cause = error; cause; cause = cause.cause) if (cause.message && !messages.includes(cause.message)) messages.push(cause.message);
  return new UserError(messages.join(": "));
}
