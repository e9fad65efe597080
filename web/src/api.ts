// Requests to this server: the token, errors in each of the API's shapes, server-sent events.

export interface Model {
  name: string;
  task: { name: string };
  description: string;
  properties: { property_id: string; value: unknown }[];
}

export class ApiError extends Error {
  constructor(message: string, readonly status: number, readonly code: number | string | null, readonly request: string | null,
    readonly retryAfter: string | null) {
    super(message);
  }
}

const stored = (key: string) => sessionStorage.getItem(key) ?? localStorage.getItem(key) ?? "";
export const settings = {
  token: stored("verge-token"),
  account: stored("verge-account") || "local",
  keep(token: string, account: string, remember: boolean) {
    this.token = token;
    this.account = account || "local";
    for (const store of [sessionStorage, localStorage]) {
      store.removeItem("verge-token");
      store.removeItem("verge-account");
    }
    const store = remember ? localStorage : sessionStorage;
    if (token) store.setItem("verge-token", token);
    store.setItem("verge-account", this.account);
  },
};

// Asks the visitor for a token; main.ts sets it. False: none was given.
export const asker = { ask: async (_why: string): Promise<boolean> => false };

export const accountPath = (path: string) => `/client/v4/accounts/${encodeURIComponent(settings.account)}/ai/${path}`;
export const runPath = (model: string) => accountPath("run/" + model.split("/").map(encodeURIComponent).join("/").replaceAll("%40", "@"));

function describe(body: any, status: number): [string, number | string | null] {
  const first = body?.errors?.[0];
  if (first) return [first.message, first.code ?? null];
  if (body?.error?.message) return [body.error.message, body.error.code ?? body.error.type ?? null];
  if (body?.description) return [body.description, body.internalCode ?? null];
  return [`The server answered with status ${status}.`, null];
}

export async function errorOf(answer: Response): Promise<ApiError> {
  let body: any = null;
  const text = await answer.text().catch(() => "");
  try { body = JSON.parse(text); } catch { /* no JSON: the status has to do */ }
  const [message, code] = describe(body, answer.status);
  return new ApiError(message, answer.status, code, answer.headers.get("cf-ai-req-id"), answer.headers.get("retry-after"));
}

// One request. A 401 asks for a token and tries again; a token of one account alone says which account to use.
export async function ask(path: string | (() => string), init: RequestInit & { quiet?: boolean } = {}): Promise<Response> {
  for (let tries = 0; ; ++tries) {
    const headers = new Headers(init.headers);
    if (settings.token) headers.set("authorization", "Bearer " + settings.token);
    let answer: Response;
    try {
      answer = await fetch(typeof path === "string" ? path : path(), { ...init, headers });
    } catch (failure) {
      if ((failure as Error).name === "AbortError") throw failure;
      throw new ApiError("The server cannot be reached. It may have been stopped, or the network is down.", 0, null, null, null);
    }
    if (answer.ok) return answer;
    const failure = await errorOf(answer);
    if (answer.status === 401 && !init.quiet && tries < 3 && (await asker.ask(failure.message))) continue;
    const own = answer.status === 403 && typeof path === "function" ? /token is for the account (\S+) alone/.exec(failure.message) : null;
    if (own && tries < 3 && own[1] !== settings.account) {
      settings.account = own[1];
      continue;
    }
    throw failure;
  }
}

export const askJson = async (path: string | (() => string), init: RequestInit & { quiet?: boolean } = {}) => (await ask(path, init)).json();

export const post = (path: string | (() => string), body: unknown, signal?: AbortSignal) =>
  ask(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" }, signal });

// The data of each event; ends at [DONE]. An event that holds an error is thrown.
export async function* events(answer: Response): AsyncGenerator<any> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value;
      let end: number;
      while ((end = rest.indexOf("\n")) >= 0) {
        const line = rest.slice(0, end).trimEnd();
        rest = rest.slice(end + 1);
        if (!line.startsWith("data: ")) continue;
        if (line === "data: [DONE]") return;
        const event = JSON.parse(line.slice(6));
        if (event.error || event.errors?.length) {
          const [message, code] = describe(event, 0);
          throw new ApiError(message, 0, code, answer.headers.get("cf-ai-req-id"), null);
        }
        yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

let known: Promise<Model[]> | null = null;
// Models that can be asked now.
export function models(): Promise<Model[]> {
  known ??= askJson(() => accountPath("models/search?per_page=1000&available=true"))
    .then((body) => body.result as Model[]);
  known.catch(() => { known = null; });
  return known;
}
export const forgetModels = () => { known = null; };
export const modelsOf = async (...tasks: string[]) => (await models()).filter((model) => tasks.includes(model.task.name));
