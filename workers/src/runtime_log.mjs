// What Workers print, straight from workerd, before Miniflare looks at it: Miniflare drops messages that read like its own ("Address
// already in use") and decodes each piece of a pipe alone, which breaks characters at the seams. workerd writes one JSON object a line;
// its own messages name a `source`, what a Worker says never does, so that nothing is told apart by its words.
import childProcess from "node:child_process";
import { StringDecoder } from "node:string_decoder";

const LEVELS = new Set(["debug", "log", "info", "warn", "error"]);
const UNCAUGHT = /^uncaught exception; source = (.*?); stack = ([^]*)$/;
const PATIENCE_MS = 2000;
const LAST_WORDS = 20; // of workerd's own errors, kept for the case that it ends

/** A line of workerd: {level, message}, with `own` where it is workerd's own business; undefined for an empty one. */
export function readLine(line) {
  let entry;
  try {
    entry = JSON.parse(line);
  } catch {
    return line ? { level: "error", message: line } : undefined; // a runtime that crashes
  }
  if (typeof entry?.message !== "string") return undefined;
  if (entry.source === undefined) return { level: LEVELS.has(entry.level) ? entry.level : "log", message: entry.message };
  // Outside of a fetch (cron, queue, alarm, waitUntil) nobody else says these.
  const [, where, stack] = UNCAUGHT.exec(entry.message) ?? [];
  return stack === undefined ? { level: entry.level, message: entry.message, own: true } : { level: "error", message: `Uncaught ${stack}`, where };
}

/** Lines from pieces of a pipe, as text. */
function splitLines(stream, take) {
  const decoder = new StringDecoder("utf8");
  let pieces = []; // of a line that is not whole yet
  const add = (text) => {
    const lines = text.split("\n");
    pieces.push(lines[0]);
    if (lines.length === 1) return;
    lines[0] = pieces.join("");
    pieces = [lines.pop()];
    lines.forEach(take);
  };
  stream.on("data", (chunk) => add(decoder.write(chunk)));
  stream.on("end", () => add(`${decoder.end()}\n`));
}

/**
 * Calls `listener` with each {level, message}, in order, of every workerd that this process starts from now on, and `ended` with
 * workerd's own last errors where one ends by itself, `started` with each process. Gives a function to wait with until the words of those that ended are read.
 */
export function tapRuntime(listener, ended, started = () => {}) {
  const { spawn } = childProcess;
  const open = new Set(); // {errors, closed}
  childProcess.spawn = function (command, args, ...rest) {
    const child = spawn.call(this, command, args, ...rest);
    if (args?.[0] !== "serve" || !args.includes("--control-fd=3")) return child;
    started(child);
    const state = { errors: [] };
    let last; // an exception passes through workerd's log once for the promise and once for the request
    const take = (line) => {
      const said = readLine(line);
      if (!said) return;
      if (said.own) {
        if (said.level === "error" || said.level === "fatal") state.errors = [...state.errors, said.message].slice(-LAST_WORDS);
        return;
      }
      const again = said.where !== undefined && last?.message === said.message && last.where !== said.where;
      last = again ? undefined : said;
      if (!again) listener({ level: said.level, message: said.message });
    };
    splitLines(child.stdout, take);
    splitLines(child.stderr, take);
    state.closed = new Promise((resolve) => child.on("close", resolve)).then((code) => {
      open.delete(state);
      if (code) ended(state.errors);
    });
    open.add(state);
    return child;
  };
  // One with errors that does not end is no failed start; it is not waited for.
  const patience = () => new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  return () => Promise.race([Promise.all([...open].filter(({ errors }) => errors.length).map(({ closed }) => closed)), patience()]);
}
