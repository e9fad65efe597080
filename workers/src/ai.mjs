// env.AI without workerd: the same members, requests and errors as the binding (cloudflare-internal:ai-api), over fetch.
// For Vitest, plain Node and scripts; in a Worker the real binding does this.

/** Thrown for answers that are not 2xx: `name` and `message` ("5007: No such model …") as Workers see them. */
export class InferenceUpstreamError extends Error {
  constructor(message, name = "InferenceUpstreamError") {
    super(message);
    this.name = name;
  }
}

/** Thrown for wrong use, and by models() and toMarkdown(). */
export class AiInternalError extends Error {
  constructor(message) {
    super(message);
    this.name = "AiInternalError";
  }
}

const isStream = (value) => value instanceof ReadableStream || value instanceof FormData;
const streamOf = (value) => (isStream(value) ? { body: value } : isStream(value?.body) ? value : undefined);

function upstreamError(text) {
  try {
    const body = JSON.parse(text);
    if (body.internalCode) return { error: new InferenceUpstreamError(`${body.internalCode}: ${body.description}`, body.name), code: body.internalCode };
    const [first] = body.errors ?? [];
    if (first) return { error: new InferenceUpstreamError(`${first.code}: ${first.message}`), code: null };
  } catch {}
  return { error: new InferenceUpstreamError(text), code: null };
}

class ToMarkdownService {
  #call;
  constructor(call) {
    this.#call = call;
  }
  async transform(files, options) {
    const list = Array.isArray(files) ? files : [files];
    const sent = await Promise.all(
      list.map(async ({ name, blob }) => ({ name, mimeType: blob.type, data: Buffer.from(await blob.arrayBuffer()).toString("base64") })),
    );
    const result = await this.#call("/to-everything/markdown/transformer", { method: "POST", body: JSON.stringify({ files: sent, options }), headers: { "content-type": "application/json" } });
    if (!result?.length) throw new AiInternalError("Internal Error Converting files into Markdown");
    return Array.isArray(files) ? result : result[0];
  }
  supported() {
    return this.#call("/to-everything/markdown/supported");
  }
}

class Ai {
  lastRequestId = null;
  aiGatewayLogId = null;
  lastRequestHttpStatusCode = null;
  lastRequestInternalStatusCode = null;
  #server;
  #token;

  constructor(server, token) {
    this.#server = server;
    this.#token = token;
  }

  /** The raw request, as the binding's fetcher takes it: only path and query of the URL count. */
  fetch(input, init = {}) {
    const { pathname, search } = new URL(input, "https://workers-binding.ai");
    const headers = new Headers(init.headers);
    if (this.#token) headers.set("authorization", `Bearer ${this.#token}`);
    return fetch(new URL(pathname + search, this.#server), { ...init, headers });
  }

  async run(model, inputs, options = {}) {
    const { prefix, extraHeaders, sessionOptions, signal, ...sent } = options;
    const headers = new Headers({ ...sessionOptions?.extraHeaders, ...extraHeaders });
    headers.set("cf-consn-sdk-version", "2.0.0");
    headers.set("cf-consn-model-id", prefix ? `${prefix}:${model}` : model);
    const streams = Object.keys(inputs).filter((key) => streamOf(inputs[key]));
    if (streams.length > 1) throw new AiInternalError(`Multiple ReadableStreams are not supported. Found streams in keys: [${streams.join(", ")}]`);
    let url = sent.gateway?.id ? "/ai-gateway/run?version=3" : "/run?version=3";
    const init = { method: "POST", headers, signal };
    if (streams.length === 1) {
      const { [streams[0]]: value, ...others } = inputs;
      const { body, contentType } = streamOf(value);
      if (sent.gateway?.id) throw new AiInternalError("AI Gateway does not support ReadableStreams yet.");
      if (!contentType && !(body instanceof FormData)) throw new AiInternalError("Content-Type is required with ReadableStream inputs");
      const query = new URLSearchParams({ ...Object.fromEntries(Object.entries(sent).map(([key, one]) => [key, String(one)])), version: "3", userInputs: JSON.stringify(others) });
      url = `/run?${query}`;
      init.body = body;
      init.duplex = "half";
      // A form brings its own type, with the boundary.
      if (contentType && !(body instanceof FormData)) headers.set("content-type", contentType);
    } else {
      headers.set("content-type", "application/json");
      init.body = JSON.stringify({ inputs, options: sent });
    }
    this.lastRequestId = "";
    const response = await this.fetch(url, init);
    this.lastRequestId = response.headers.get("cf-ai-req-id");
    this.aiGatewayLogId = response.headers.get("cf-aig-log-id");
    this.lastRequestHttpStatusCode = response.status;
    this.lastRequestInternalStatusCode = null;
    if (options.returnRawResponse || options.websocket) return response;
    if (!response.ok || !response.body) {
      const { error, code } = upstreamError(await response.text());
      this.lastRequestInternalStatusCode = code;
      throw error;
    }
    return response.headers.get("content-type") === "application/json" ? response.json() : response.body;
  }

  async #result(path, init) {
    const response = await this.fetch(path, init);
    const body = await response.json();
    if (!response.ok) throw new AiInternalError(body.errors?.[0]?.message ?? "Internal Error");
    return body.result;
  }

  models(params = {}) {
    return this.#result(`/ai-api/models/search?${new URLSearchParams(params)}`);
  }

  toMarkdown(files, options) {
    const service = new ToMarkdownService((path, init) => this.#result(path, init));
    return files ? service.transform(files, options) : service;
  }

  getLogs() {
    return [];
  }
}

/** An AI object on a Verge server ($VERGE_SERVER, http://127.0.0.1:8780; $VERGE_TOKEN where it wants one). */
export function createAI({ server = process.env.VERGE_SERVER ?? "http://127.0.0.1:8780", token = process.env.VERGE_TOKEN } = {}) {
  return new Ai(server, token);
}
