// The way to a Verge server ($VERGE_TOKEN where it wants one): asked once whether it takes this client, and then a forwarder on
// loopback for Miniflare, which itself can neither send a token nor trust a certificate of one's own.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import tls from "node:tls";
import { UserError } from "./wrangler.mjs";

const ASK_MS = 10_000;

/** What Node trusts, and what OpenSSL's programs do on this machine: $SSL_CERT_FILE or the system's bundle, $NODE_EXTRA_CA_CERTS. */
function trusted() {
  const files = [process.env.SSL_CERT_FILE ?? "/etc/ssl/certs/ca-certificates.crt", process.env.NODE_EXTRA_CA_CERTS];
  return [...tls.rootCertificates, ...files.filter((file) => file && fs.existsSync(file)).map((file) => fs.readFileSync(file, "utf8"))];
}

/** {request(options, listener)}: of http or https, to `server`. */
function clientOf(server) {
  let target;
  try {
    target = new URL(server);
  } catch {}
  if (target?.protocol !== "http:" && target?.protocol !== "https:") throw new UserError(`${server} is no address of a server: it wants http://HOST:PORT`);
  if (target.protocol === "http:") return { target, request: (options, listener) => http.request(target, options, listener) };
  const agent = new https.Agent({ keepAlive: true, ca: trusted() });
  return { target, request: (options, listener) => https.request(target, { agent, ...options }, listener) };
}

/** An error of a connection, for people. */
function explain(server, error) {
  const code = error.code ?? "";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return `the certificate of ${server} is not valid now: ${error.message}`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return `the certificate of ${server} is for another name: ${error.message}`;
  if (/CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)/.test(code))
    return `the certificate of ${server} is not trusted (${error.message}): put the file of the authority that signed it into NODE_EXTRA_CA_CERTS`;
  if (code === "EPROTO" || code === "HPE_INVALID_CONSTANT") return `${server} does not speak ${new URL(server).protocol === "https:" ? "TLS: is it http://" : "plain HTTP: is it https://"} …?`;
  if (code === "ECONNRESET" && server.startsWith("http:")) return `${server} closes the connection without an answer: is it https:// …?`;
  return `nobody answers on ${server} (${error.message || code}): start it with verge serve, or leave --server out and one is started`;
}

/** Whether the server would run a model for this client; a UserError says why not and what to do. */
export async function check(server, token) {
  const { request } = clientOf(server);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  // The route of a run, by a method that it does not take: who may not use it hears of that first.
  const { status, body } = await new Promise((resolve, reject) => {
    const asking = request({ method: "GET", path: "/run", headers, timeout: ASK_MS }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (piece) => (text += piece)).on("end", () => resolve({ status: answer.statusCode, body: text })).on("error", reject);
    });
    asking.on("timeout", () => asking.destroy(new Error(`no answer within ${ASK_MS / 1000} s`))).on("error", reject).end();
  }).catch((error) => {
    throw new UserError(explain(server, error));
  });
  let message = "";
  try {
    message = JSON.parse(body).errors[0].message;
  } catch {
    throw new UserError(`${server} answers (${status}), but not as a Verge server does`);
  }
  if (status === 401 && !token) throw new UserError(`the server at ${server} wants a token: put one into VERGE_TOKEN ('verge token create --name dev' makes one)`);
  if (status === 401) throw new UserError(`the server at ${server} does not know the token in VERGE_TOKEN: it is misspelt, revoked, or another server's`);
  if (status === 403) throw new UserError(`the server at ${server} refuses: ${message}`);
}

/** Starts a forwarder; gives its address. `answered(asked, model)`: a stand-in answered. */
export async function forward(server, token, answered = () => {}) {
  const { target, request } = clientOf(server);
  const forwarder = http.createServer((incoming, answer) => {
    const headers = { ...incoming.headers, host: target.host };
    if (token) headers.authorization = `Bearer ${token}`;
    const upstream = request({ method: incoming.method, path: incoming.url, headers }, (response) => {
      const asked = incoming.headers["mf-header-cf-consn-model-id"] ?? incoming.headers["cf-consn-model-id"];
      if (response.headers["verge-substituted"] && asked) answered(asked.slice(asked.lastIndexOf(":") + 1), response.headers["verge-model"]);
      answer.writeHead(response.statusCode, response.headers);
      response.pipe(answer);
    });
    upstream.on("error", (error) => {
      if (!answer.headersSent) answer.writeHead(502, { "content-type": "application/json" });
      answer.end(JSON.stringify({ errors: [{ code: 3040, message: `Verge at ${server} does not answer: ${error.message}` }] }));
    });
    answer.on("close", () => upstream.destroy()); // who aborts here aborts there
    incoming.pipe(upstream);
  });
  await new Promise((resolve) => forwarder.listen(0, "127.0.0.1", resolve));
  forwarder.unref();
  return `http://127.0.0.1:${forwarder.address().port}`;
}

/** As forward(), where the server needs one. */
export const reach = (server, token) => (token || server.startsWith("https:") ? forward(server, token) : server);
