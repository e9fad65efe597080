// `verge serve --worker DIR`: a Worker as a long-lived service on workerd, behind the gateway, which is the parent of this
// process. One line of JSON on descriptor 3 says where it listens and which routes its configuration names.
import fs from "node:fs";
import path from "node:path";
import { imageResult, watchOutput } from "./dev.mjs";
import { findConfig, loadWrangler, readConfig, startWorker } from "./wrangler.mjs";

/** "example.com/api/*", {pattern: …}: as in wrangler's `route` and `routes`. */
function routesOf(config) {
  const all = [...(config.routes ?? []), ...(config.route ? [config.route] : [])];
  return all.map((route) => (typeof route === "string" ? route : route.pattern)).filter(Boolean);
}

export async function host(options) {
  const file = findConfig(options.project, options.config);
  const shape = imageResult(options.imageResult, path.dirname(file));
  if (shape) process.env.VERGE_IMAGE_RESULT = shape;
  watchOutput();
  const { wrangler } = loadWrangler(path.dirname(file));
  const config = readConfig(wrangler, file, options.env);
  const worker = await startWorker(wrangler, file, options, { logLevel: options.logLevel ?? "warn", watch: false, liveReload: false });
  worker.raw.on("error", (event) => {
    process.stderr.write(`${event?.cause?.message ?? event?.reason ?? event}\n`);
    process.exit(1);
  });
  const stop = async () => {
    setTimeout(() => process.exit(0), 3000).unref();
    await worker.dispose().catch(() => {});
    process.exit(0);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);
  process.stdin.resume().on("end", stop);  // the gateway is gone
  await worker.ready;
  const url = await worker.url;
  fs.writeSync(3, `${JSON.stringify({ state: "ready", name: config.name, port: Number(url.port), routes: routesOf(config) })}\n`);
}
