// Queues of hosted Workers. All Workers of a server share one SQLite file: a message is on disk before send() resolves, and stays there until
// its consumer has acknowledged it, whatever is killed meanwhile. Retries, delays and dead letters as on Cloudflare; at least once, in no order.
// The consumer may be another Worker than the producer, or not run at all for some time.
import { randomUUID } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";
import { UserError } from "./wrangler.mjs";

// Cloudflare's limits and defaults.
const MESSAGE_BYTES = 128_000, BATCH_MESSAGES = 100, BATCH_BYTES = 288_000, LONGEST_DELAY_S = 86_400;
const BATCH_SIZE = 10, BATCH_WAIT_S = 5, RETRIES = 3, RETENTION_MS = 4 * 86_400_000, DELIVERY_MS = 15 * 60_000;
const STORE_BYTES = 4 * 2 ** 30; // of all queues
const POLL_MS = 5000; // where a change of the file was not noticed
const FORGIVEN = 3; // times that a delivery cut short by the consumer's end does not count as an attempt
const FORMATS = new Set(["text", "json", "bytes", "v8"]);

/** This process, so that others can tell whether it is still there: its id and when it began. */
function identity(pid) {
  try {
    return `${pid}.${fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")[19]}`;
  } catch {
    return undefined;
  }
}
const isAlive = (owner) => identity(owner.split(".")[0]) === owner;

/** A refusal, with the status that the runtime's binding turns into an exception. */
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class QueueStore {
  #db;
  #statements = new Map();
  #owner = identity(process.pid);

  constructor(file) {
    let DatabaseSync;
    try {
      ({ DatabaseSync } = createRequire(import.meta.url)("node:sqlite"));
    } catch {
      throw new UserError(`queues need Node 22.13 or newer, this is ${process.version}`);
    }
    fs.mkdirSync(path.dirname(file), { recursive: true });
    this.file = file;
    this.#db = new DatabaseSync(file);
    this.#db.exec(`PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS messages (key INTEGER PRIMARY KEY, id TEXT NOT NULL, queue TEXT NOT NULL, format TEXT NOT NULL, body BLOB NOT NULL,
        sent_ms INTEGER NOT NULL, visible_ms INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, interrupted INTEGER NOT NULL DEFAULT 0, owner TEXT);
      CREATE INDEX IF NOT EXISTS waiting ON messages (queue, owner, visible_ms);
      CREATE INDEX IF NOT EXISTS oldest ON messages (sent_ms);`);
  }

  #run(sql, how, ...values) {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement[how](...values);
  }

  #transaction(work) {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  /** messages: [{format, body: Buffer, delayS}]. They are on disk when this returns. */
  send(queue, messages) {
    const { page_count } = this.#run("PRAGMA page_count", "get");
    const { freelist_count } = this.#run("PRAGMA freelist_count", "get");
    const { page_size } = this.#run("PRAGMA page_size", "get");
    if ((page_count - freelist_count) * page_size > STORE_BYTES) throw new Refusal(507, `the queues hold ${STORE_BYTES >> 30} GiB already`);
    const now = Date.now();
    this.#transaction(() => {
      for (const { format, body, delayS } of messages)
        this.#run("INSERT INTO messages (id, queue, format, body, sent_ms, visible_ms) VALUES (?, ?, ?, ?, ?, ?)", "run", randomUUID().replaceAll("-", ""), queue, format, body, now, now + delayS * 1000);
    });
  }

  /**
   * The next batch, which is this process's until it is settled: {messages}; or {waitMs} until there may be one. Messages of owners that
   * have ended meanwhile come back first.
   */
  claim(queue, { size, waitMs, retries, deadLetter }, say) {
    const now = Date.now();
    return this.#transaction(() => {
      for (const { owner } of this.#run("SELECT DISTINCT owner FROM messages WHERE queue = ? AND owner IS NOT NULL", "all", queue)) {
        if (owner === this.#owner || isAlive(owner)) continue;
        this.#run("UPDATE messages SET owner = NULL, attempts = attempts - (interrupted < ?), interrupted = interrupted + 1 WHERE queue = ? AND owner = ?", "run", FORGIVEN, queue, owner);
      }
      const old = this.#run("DELETE FROM messages WHERE sent_ms < ? AND owner IS NULL", "run", now - RETENTION_MS).changes;
      if (old) say(`${old} messages of queues were older than 4 days and are dropped`);
      const { ready, since } = this.#run("SELECT count(*) AS ready, min(visible_ms) AS since FROM (SELECT visible_ms FROM messages WHERE queue = ? AND owner IS NULL AND visible_ms <= ? ORDER BY visible_ms LIMIT ?)", "get", queue, now, size);
      if (ready === 0) {
        const { next } = this.#run("SELECT min(visible_ms) AS next FROM messages WHERE queue = ? AND owner IS NULL", "get", queue);
        return { waitMs: next === null ? Infinity : next - now };
      }
      if (ready < size && now - since < waitMs) return { waitMs: waitMs - (now - since) };
      const found = this.#run("SELECT * FROM messages WHERE queue = ? AND owner IS NULL AND visible_ms <= ? ORDER BY visible_ms, key LIMIT ?", "all", queue, now, size);
      const messages = found.filter(({ attempts }) => attempts <= retries);
      // Those that have ended their consumer too often.
      for (const message of found) if (message.attempts > retries) this.#bury(queue, message, deadLetter, say);
      if (messages.length === 0) return { waitMs: 0 };
      // The attempt counts before it is made: a message that ends its consumer each time is not tried for ever.
      for (const message of messages) this.#run("UPDATE messages SET owner = ?, attempts = attempts + 1 WHERE key = ?", "run", this.#owner, message.key);
      return { messages: messages.map((message) => ({ ...message, attempts: message.attempts + 1 })) };
    });
  }

  #bury(queue, { key, id }, deadLetter, say) {
    if (deadLetter === undefined) {
      this.#run("DELETE FROM messages WHERE key = ?", "run", key);
      say(`queue ${queue}: message ${id} failed too often and is dropped (no dead_letter_queue)`);
    } else {
      this.#run("UPDATE messages SET queue = ?, owner = NULL, attempts = 0, interrupted = 0, sent_ms = ?, visible_ms = ? WHERE key = ?", "run", deadLetter, Date.now(), Date.now(), key);
      say(`queue ${queue}: message ${id} failed too often and is in ${deadLetter} now`);
    }
  }

  /** done: keys that are acknowledged; failed: [{message, delayS}]. */
  settle(queue, done, failed, { retries, deadLetter }, say) {
    this.#transaction(() => {
      for (const key of done) this.#run("DELETE FROM messages WHERE key = ?", "run", key);
      for (const { message, delayS } of failed) {
        if (message.attempts > retries) this.#bury(queue, message, deadLetter, say);
        else this.#run("UPDATE messages SET owner = NULL, visible_ms = ? WHERE key = ?", "run", Date.now() + delayS * 1000, message.key);
      }
    });
  }

  /** What this process had under way and will not settle: as if it had not been delivered, or `counted` as a failure. */
  giveBack(counted = false) {
    this.#run("UPDATE messages SET owner = NULL, attempts = attempts - ? WHERE owner = ?", "run", counted ? 0 : 1, this.#owner);
  }

  metrics(queue) {
    const { count, bytes, since } = this.#run("SELECT count(*) AS count, coalesce(sum(length(body)), 0) AS bytes, min(sent_ms) AS since FROM messages WHERE queue = ?", "get", queue);
    return { backlogCount: count, backlogBytes: bytes, oldestMessageTimestamp: since ?? 0 };
  }

  /** Calls `then` when a process has changed something. */
  watch(then) {
    const watcher = fs.watch(`${this.file}-wal`, then);
    watcher.on("error", () => {});
    return watcher;
  }
}

function delayOf(text, fallback) {
  if (text === undefined || text === null || text === "") return fallback;
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > LONGEST_DELAY_S) throw new Refusal(400, `delaySeconds must be a whole number up to ${LONGEST_DELAY_S}, not ${text}`);
  return seconds;
}

function formatOf(format) {
  const known = format ?? "v8";
  if (!FORMATS.has(known)) throw new Refusal(400, `contentType must be text, json, bytes or v8, not ${format}`);
  return known;
}

async function readBody(request, limit) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size > limit) throw new Refusal(413, `more than ${limit} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** The messages of a request of workerd's queue binding: POST /message or /batch. */
async function messagesOf(request, delayS) {
  const delay = delayOf(request.headers["x-msg-delay-secs"], delayS);
  if (request.url === "/message") {
    const body = await readBody(request, MESSAGE_BYTES);
    return [{ format: formatOf(request.headers["x-msg-fmt"]), body, delayS: delay }];
  }
  const { messages } = JSON.parse(await readBody(request, 2 * BATCH_BYTES));
  if (messages.length > BATCH_MESSAGES) throw new Refusal(413, `a batch of ${messages.length} messages, ${BATCH_MESSAGES} at most`);
  const all = messages.map((one) => ({ format: formatOf(one.contentType), body: Buffer.from(one.body, "base64"), delayS: delayOf(one.delaySecs, delay) }));
  if (all.some(({ body }) => body.length > MESSAGE_BYTES)) throw new Refusal(413, `a message of more than ${MESSAGE_BYTES} bytes`);
  if (all.reduce((sum, { body }) => sum + body.length, 0) > BATCH_BYTES) throw new Refusal(413, `a batch of more than ${BATCH_BYTES} bytes`);
  return all;
}

/** Answers producers' bindings on a socket that only this user can open; `delays`: queue -> seconds. Gives the socket's path. */
export async function serveProducers(store, delays, changed) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "verge-queues-"));
  process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
  const server = http.createServer(async (request, answer) => {
    const queue = decodeURIComponent(request.headers["verge-queue"] ?? "");
    try {
      if (request.method === "POST") {
        store.send(queue, await messagesOf(request, delays.get(queue) ?? 0));
        changed();
      }
      answer.writeHead(200, { "content-type": "application/json" });
      const metrics = store.metrics(queue);
      answer.end(JSON.stringify(request.method === "POST" ? { metadata: { metrics } } : metrics));
    } catch (error) {
      answer.writeHead(error.status ?? 500, { "content-type": "text/plain" });
      answer.end(error.message);
      request.resume();
    }
  });
  const socket = path.join(folder, "s");
  await new Promise((resolve, reject) => server.once("error", reject).listen(socket, resolve));
  server.unref();
  return socket;
}

/** Leads the queue bindings of this Miniflare to the socket instead of its broker, which keeps messages in memory. */
export function bindProducers(miniflare, socket) {
  const plugin = miniflare.QUEUES_PLUGIN;
  plugin.getServices = async ({ options }) => {
    const names = new Set((await plugin.getBindings(options)).map((binding) => binding.queue.name));
    return [...names].map((name) => ({
      name,
      external: { address: `unix:${socket}`, http: { injectRequestHeaders: [{ name: "verge-queue", value: encodeURIComponent(name.slice("queues:queue:".length)) }] } },
    }));
  };
}

function bodyOf({ format, body }) {
  const bytes = body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength);
  if (format === "v8") return { serializedBody: new Uint8Array(bytes) };
  if (format === "bytes") return { body: bytes };
  const text = new TextDecoder().decode(body);
  return { body: format === "json" ? JSON.parse(text) : text };
}

/**
 * Delivers a queue's messages from now on. consumer: as in wrangler's configuration; deliver(messages): the runtime's answer to a batch.
 * Gives {wake, stop}: stop() takes no further batch and resolves when those under way are settled.
 */
export function consume(store, consumer, deliver, say) {
  const { queue } = consumer;
  const rules = {
    size: consumer.max_batch_size ?? BATCH_SIZE,
    waitMs: (consumer.max_batch_timeout ?? BATCH_WAIT_S) * 1000,
    retries: consumer.max_retries ?? RETRIES,
    deadLetter: consumer.dead_letter_queue,
  };
  const atOnce = Math.min(consumer.max_concurrency ?? 4, 16);
  const underWay = new Set();
  let stopped = false;
  let timer;

  async function handle(batch) {
    let answer;
    try {
      const messages = batch.map((message) => ({ id: message.id, timestamp: new Date(message.sent_ms), attempts: message.attempts, ...bodyOf(message) }));
      let late;
      const limit = new Promise((_, reject) => (late = setTimeout(() => reject(new Error("the consumer took more than 15 minutes")), DELIVERY_MS)));
      answer = await Promise.race([deliver(messages), limit]).finally(() => clearTimeout(late));
    } catch (error) {
      say(`queue ${queue}: ${error.message}`);
      answer = { outcome: "exception" };
    }
    const again = new Map((answer.retryMessages ?? []).map(({ msgId, delaySeconds }) => [msgId, delaySeconds]));
    const acknowledged = new Set(answer.explicitAcks ?? []);
    const all = answer.retryBatch?.delaySeconds ?? consumer.retry_delay ?? 0;
    const retryRest = answer.outcome !== "ok" || answer.retryBatch?.retry;
    const done = [];
    const failed = [];
    for (const message of batch) {
      const retry = again.has(message.id) || (!acknowledged.has(message.id) && !answer.ackAll && retryRest);
      if (retry) failed.push({ message, delayS: again.get(message.id) ?? all });
      else done.push(message.key);
    }
    store.settle(queue, done, failed, rules, say);
  }

  function wake() {
    clearTimeout(timer);
    while (!stopped && underWay.size < atOnce) {
      let next;
      try {
        next = store.claim(queue, rules, say);
      } catch (error) {
        say(`queue ${queue}: ${error.message}`);
        next = { waitMs: POLL_MS };
      }
      if (!next.messages) {
        timer = setTimeout(wake, Math.min(Math.max(next.waitMs, 1), POLL_MS));
        return;
      }
      const handled = handle(next.messages)
        .catch((error) => say(`queue ${queue}: ${error.message}`))
        .finally(() => (underWay.delete(handled), wake()));
      underWay.add(handled);
    }
  }

  wake();
  return {
    wake,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await Promise.all(underWay);
    },
  };
}
