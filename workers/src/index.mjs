export { AiInternalError, InferenceUpstreamError, createAI } from "./ai.mjs";
import path from "node:path";
import { findConfig, loadWrangler } from "./wrangler.mjs";

/**
 * The `env` of a wrangler project in plain Node: KV, D1, R2, … of its configuration, on Miniflare, and its AI binding on Verge.
 * `await dispose()` when it is no longer needed.
 */
export async function getEnv({ project = ".", config, env, server = process.env.VERGE_SERVER ?? "http://127.0.0.1:8780", persist = true } = {}) {
  const file = findConfig(project, config);
  process.env.VERGE_URL = server;
  const { wrangler } = loadWrangler(project);
  const platform = await wrangler.getPlatformProxy({ configPath: file, environment: env, persist: persist === true ? { path: path.join(path.dirname(file), ".wrangler", "state", "v3") } : persist, remoteBindings: false });
  return { env: platform.env, ctx: platform.ctx, caches: platform.caches, dispose: () => platform.dispose() };
}
