// `verge wrangler PROJECT -- …`: commands of wrangler that work on local state. None of them leaves this machine.
import { spawn } from "node:child_process";
import path from "node:path";
import { findConfig, findWrangler, UserError } from "./wrangler.mjs";

// Those that read or change state, and those that need none.
const STATE = [/^d1 (execute|export)$/, /^d1 migrations (apply|list)$/, /^kv key (get|put|list|delete)$/, /^kv bulk (get|put|delete)$/, /^r2 object (get|put|delete)$/];
const STATELESS = [/^d1 migrations create$/, /^types\b/];
const HERE = "d1 execute, d1 export, d1 migrations apply|list|create, kv key …, kv bulk …, r2 object …, types";
const INSTEAD = [
  [/^secret\b/, "secrets are lines of .dev.vars (or .dev.vars.ENVIRONMENT) beside the configuration; of a hosted Worker also in the file of verge serve --worker-secrets NAME=FILE"],
  [/^(deploy|publish|versions|rollback)\b/, "a Worker is deployed by naming its folder: verge serve --worker DIR; new code goes live on SIGHUP"],
  [/^dev\b/, "that is verge dev"],
  [/^(tail)\b/, "what a hosted Worker prints is in the server's log"],
];

/** options: {project, persistTo, hosted}; rest: wrangler's words. Ends the process with wrangler's exit code. */
export async function runWrangler(options, rest) {
  const file = findConfig(options.project, options.config);
  const words = rest.filter((word) => !word.startsWith("-"));
  const helps = rest.some((word) => word === "--help" || word === "-h" || word === "--version");
  const command = [3, 2, 1].map((count) => words.slice(0, count).join(" ")).find((name) => [...STATE, ...STATELESS].some((one) => one.test(name)));
  if (command === undefined && !helps) {
    const other = INSTEAD.find(([name]) => name.test(words.join(" ")))?.[1] ?? `it takes what works on local state: ${HERE}`;
    throw new UserError(`wrangler ${words.slice(0, 2).join(" ")} would call Cloudflare or is not for this; ${other}`);
  }
  if (rest.some((word) => /^--remote($|=true$)/.test(word))) throw new UserError("--remote works on data in the cloud, which Verge never calls: leave it out");
  const state = command !== undefined && STATE.some((one) => one.test(command)) && !helps;
  // The state of a hosted Worker is in the form of the Miniflare that hosts it.
  const folder = options.hosted ? findWrangler(process.env.VERGE_NPM) : findWrangler(path.dirname(file));
  const has = (name) => rest.some((word) => word === name || word.startsWith(`${name}=`));
  const args = [...rest];
  if (!has("--config") && !has("-c")) args.push("--config", file);
  if (state && !has("--local")) args.push("--local");
  if (state && options.persistTo && !has("--persist-to") && command !== "d1 export") args.push("--persist-to", path.resolve(options.persistTo));
  if (options.hosted && command === "d1 export") throw new UserError("wrangler d1 export cannot be told of another folder of state; d1 execute --command reads it");
  const child = spawn(process.execPath, [path.join(folder, "bin", "wrangler.js"), ...args], {
    stdio: "inherit",
    env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true" },
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  process.exit(await new Promise((resolve, reject) => child.on("error", reject).on("exit", (code, signal) => resolve(code ?? (signal ? 1 : 0)))));
}
