import type { ServerOptions } from "./index.js";

export interface VergeTestOptions extends ServerOptions {
  /** Name of the AI binding: "AI" */
  binding?: string;
  /** Shape of image answers */
  imageResult?: "array" | "results";
}

/** Options for cloudflareTest() of @cloudflare/vitest-plugin: those given, with env.AI on Verge. */
export function verge<Options extends object, Context = any>(
  options?: Options | ((context: Context) => Options | Promise<Options>),
  verge?: VergeTestOptions,
): (context: Context) => Promise<Options>;
