#!/usr/bin/env node
// verge-workers dev [PROJECT] [--port N] …: what `verge dev` runs once a server is there ($VERGE_URL).
import fs from "node:fs";
import { parseArgs } from "node:util";
import { runWrangler } from "../src/command.mjs";
import { dev, devWithWrangler } from "../src/dev.mjs";
import { describe, host } from "../src/host.mjs";
import { check, forward, reach } from "../src/server.mjs";
import { UserError } from "../src/wrangler.mjs";

const OPTIONS = {
  port: { type: "string", default: "8787" },
  ip: { type: "string", default: "127.0.0.1" },
  config: { type: "string", short: "c" },
  env: { type: "string", short: "e" },
  "persist-to": { type: "string" },
  "image-result": { type: "string" },
  "log-level": { type: "string" },
  "test-scheduled": { type: "boolean" },
  wrangler: { type: "boolean" },
  registry: { type: "string" },
  queues: { type: "string" },
  secrets: { type: "string" },
  successor: { type: "boolean" },
  hosted: { type: "boolean" },
};

function read(argv) {
  const cut = argv.indexOf("--");
  const own = cut < 0 ? argv : argv.slice(0, cut);
  const { values, positionals } = parseArgs({ args: own, options: OPTIONS, allowPositionals: true });
  const [command, project = ".", ...more] = positionals;
  if (more.length) throw new UserError(`one project at a time, not also ${more.join(" ")}`);
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new UserError(`--port wants a number up to 65535, not ${values.port}`);
  return {
    command,
    rest: cut < 0 ? [] : argv.slice(cut + 1),
    options: { project, port, ip: values.ip, config: values.config, env: values.env, persistTo: values["persist-to"], imageResult: values["image-result"], logLevel: values["log-level"], testScheduled: values["test-scheduled"], wrangler: values.wrangler, registry: values.registry, queues: values.queues, secrets: values.secrets, successor: values.successor, hosted: values.hosted },
  };
}

try {
  const { command, options, rest } = read(process.argv.slice(2));
  process.env.WRANGLER_SEND_METRICS = "false";
  process.noDeprecation = true; // of what wrangler uses
  // Whoever tells all of Verge to reload means the server.
  if (command === "host") process.on("SIGHUP", () => {});
  if (command === "host") process.removeAllListeners("warning"); // Node's, of node:sqlite
  process.env.VERGE_URL ??= "http://127.0.0.1:8780";
  const { VERGE_URL: server, VERGE_TOKEN: token } = process.env;
  if (command === "dev") {
    await check(server, token);
    const told = new Set();
    process.env.VERGE_URL = await forward(server, token, (asked, model) => {
      if (!told.has(asked + model)) process.stdout.write(`verge dev: ${asked} is answered by ${model}\n`);
      told.add(asked + model);
    });
    await (options.wrangler ? devWithWrangler(options, rest) : dev({ ...options, server }));
  } else if (command === "host") await host(options); // its server vouches for it
  else if (command === "wrangler") {
    process.env.VERGE_URL = await reach(server, token);
    await runWrangler(options, rest);
  } else if (command === "describe") {
    process.stdout.write = process.stderr.write = () => true; // wrangler says it again when it builds them
    fs.writeSync(1, JSON.stringify(describe(JSON.parse(options.project))));
  } else throw new UserError("usage: verge-workers dev|host [PROJECT] [--port N] [--ip ADDRESS] [--config FILE] [--env NAME] [--persist-to DIR] [--image-result array|results] [--wrangler [-- WRANGLER OPTIONS]]");
} catch (error) {
  const plain = error instanceof UserError || error?.code?.startsWith?.("ERR_PARSE_ARGS");
  process.stderr.write(`verge ${process.argv[2] === "wrangler" ? "wrangler" : "dev"}: ${plain ? error.message : (error?.stack ?? error)}\n`);
  process.exit(1);
}
