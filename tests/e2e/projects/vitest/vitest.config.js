import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { verge } from "verge-workers/vitest";
import { defineConfig } from "vitest/config";

export default defineConfig({
  define: { EXPECTED: JSON.stringify(process.env.EXPECTED) },
  plugins: [cloudflareTest(verge({ wrangler: { configPath: "./wrangler.jsonc" } }))],
});
