export { AiInternalError, InferenceUpstreamError, createAI } from "./ai.mjs";
import path from "node:path";
import { reach } from "./server.mjs";
import { findConfig, loadWrangler } from "./wrangler.mjs";

/**
 * The `env` of a wrangler project in plain Node: KV, D1, R2, … of its configuration, on Miniflare, and its AI binding on Verge.
 * `await dispose()` when it is no longer needed.
 */
export async function getEnv({ project = ".", config, env, server = process.env.VERGE_SERVER ?? "http://127.0.0.1:8780", token = process.env.VERGE_TOKEN, persist = true } = {}) {
  const file = findConfig(project, config);
  const { wrangler, hook } = loadWrangler(project);
  process.env.VERGE_URL = await reach(server, token);
  const restore = hook.mendWords();
  const platform = await wrangler
    .getPlatformProxy({ configPath: file, environment: env, persist: persist === true ? { path: path.join(path.dirname(file), ".wrangler", "state", "v3") } : persist, remoteBindings: false })
    .finally(restore);
  return { env: platform.env, ctx: platform.ctx, caches: platform.caches, dispose: () => platform.dispose() };
}
