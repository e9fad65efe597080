#!/usr/bin/env node
// The command `verge`: the program of the platform's package, with the Worker runtime of this one.
import { spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const here = path.dirname(path.dirname(fs.realpathSync(fileURLToPath(import.meta.url))));
const platform = `verge-${process.platform}-${process.arch}`;

let program;
try {
  program = path.join(path.dirname(require.resolve(`${platform}/package.json`)), "bin", "verge");
} catch {
  const { optionalDependencies: made = {}, version } = require("../package.json");
  process.stderr.write(made[platform]
    ? `verge: the package ${platform}@${version} is not installed. It is an optional dependency: install without --omit=optional, or npm install ${platform}@${version}\n`
    : `verge: there is no program for ${process.platform} on ${process.arch} yet, only ${Object.keys(made).join(", ")}. \`verge-workers dev\` works with a server elsewhere (VERGE_URL)\n`);
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit", env: { ...process.env, VERGE_WORKERS: process.env.VERGE_WORKERS ?? here } });
child.on("error", (error) => {
  process.stderr.write(`verge: ${program}: ${error.message}\n`);
  process.exit(1);
});
// A terminal sends Ctrl-C to both; this process stays until the program has ended.
process.on("SIGINT", () => { if (!process.stdin.isTTY) child.kill("SIGINT"); });
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => {
  if (!signal) process.exit(code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
