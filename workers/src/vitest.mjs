import { reach } from "./server.mjs";

/**
 * Options of cloudflareTest() in @cloudflare/vitest-plugin, once @cloudflare/vitest-pool-workers, with env.AI on Verge. No need
 * of src/hook.cjs: the plugin takes Miniflare's options from the project's configuration.
 */
export function verge(options = {}, { server = process.env.VERGE_SERVER ?? "http://127.0.0.1:8780", token = process.env.VERGE_TOKEN, binding = "AI", imageResult } = {}) {
  let forwarder; // one for all files and reruns
  return async (context) => {
    const given = typeof options === "function" ? await options(context) : options;
    forwarder ??= reach(server, token);
    const remoteProxyConnectionString = new URL("/", await forwarder);
    if (imageResult) remoteProxyConnectionString.searchParams.set("image_result", imageResult);
    return {
      ...given,
      // The plugin would open a session in the cloud for the AI binding of the configuration, before it looks at the options.
      remoteBindings: false,
      miniflare: { ...given.miniflare, ai: { binding, remoteProxyConnectionString } },
    };
  };
}
