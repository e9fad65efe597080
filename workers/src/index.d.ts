export interface ServerOptions {
  /** Address of a Verge server: $VERGE_SERVER, else http://127.0.0.1:8780 */
  server?: string;
  /** Bearer token: $VERGE_TOKEN */
  token?: string;
}

export interface RunOptions {
  gateway?: { id: string; [key: string]: unknown };
  returnRawResponse?: boolean;
  prefix?: string;
  extraHeaders?: Record<string, string>;
  rejectIfBusy?: boolean;
  signal?: AbortSignal;
  [key: string]: unknown;
}

export interface MarkdownFile {
  name: string;
  blob: Blob;
}
export type MarkdownResult =
  | { id: string; name: string; mimeType: string; format: "markdown" | "text"; tokens: number; data: string }
  | { id: string; name: string; mimeType: string; format: "error"; error: string };
export interface ToMarkdownService {
  transform(files: MarkdownFile, options?: object): Promise<MarkdownResult>;
  transform(files: MarkdownFile[], options?: object): Promise<MarkdownResult[]>;
  supported(): Promise<{ extension: string; mimeType: string }[]>;
}

/** The members of a Worker's `env.AI`. */
export interface AI {
  readonly lastRequestId: string | null;
  readonly aiGatewayLogId: string | null;
  readonly lastRequestHttpStatusCode: number | null;
  readonly lastRequestInternalStatusCode: number | null;
  run(model: string, inputs: Record<string, unknown>, options?: RunOptions): Promise<any>;
  models(params?: Record<string, string>): Promise<Record<string, unknown>[]>;
  toMarkdown(): ToMarkdownService;
  toMarkdown(files: MarkdownFile, options?: object): Promise<MarkdownResult>;
  toMarkdown(files: MarkdownFile[], options?: object): Promise<MarkdownResult[]>;
  fetch(input: string | URL, init?: RequestInit): Promise<Response>;
}

export class InferenceUpstreamError extends Error {}
export class AiInternalError extends Error {}

export function createAI(options?: ServerOptions): AI;
export function getEnv<Env = Record<string, unknown>>(options?: { project?: string; config?: string; env?: string; server?: string; token?: string; persist?: boolean }): Promise<{
  env: Env;
  ctx: { waitUntil(promise: Promise<unknown>): void; passThroughOnException(): void };
  caches: unknown;
  dispose(): Promise<void>;
}>;
