// Puts a bearer token on what Miniflare sends: a forwarder on loopback, for servers that want one ($VERGE_TOKEN).
import http from "node:http";
import https from "node:https";

/** Starts it; returns its address. */
export async function withToken(server, token) {
  const target = new URL(server);
  const client = target.protocol === "https:" ? https : http;
  const forwarder = http.createServer((request, answer) => {
    const headers = { ...request.headers, host: target.host, authorization: `Bearer ${token}` };
    const upstream = client.request(target, { method: request.method, path: request.url, headers }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      response.pipe(answer);
    });
    upstream.on("error", (error) => {
      if (!answer.headersSent) answer.writeHead(502, { "content-type": "application/json" });
      answer.end(JSON.stringify({ errors: [{ code: 3040, message: `Verge at ${server} does not answer: ${error.message}` }] }));
    });
    answer.on("close", () => upstream.destroy()); // who aborts here aborts there
    request.pipe(upstream);
  });
  await new Promise((resolve) => forwarder.listen(0, "127.0.0.1", resolve));
  forwarder.unref();
  return `http://127.0.0.1:${forwarder.address().port}`;
}
