// Cuts a runtime that computes without end. workerd runs all of a Worker on one thread: while that gives way, a second Worker in the same
// runtime answers. What has no answer yet and has used the limit of processor time meanwhile is one stretch of computing.
import fs from "node:fs";

const EVERY_MS = 500;
const HUNG_MS = 60_000; // shorter than the gateway waits for an answer (kWorkerAnswerMs)
const TICKS_PER_S = 100; // of /proc/PID/stat, on Linux

/** A Worker that answers: options of Miniflare. */
export const PROBE = {
  name: "verge-probe",
  compatibilityDate: "2025-09-01",
  modules: [{ type: "ESModule", path: "probe.mjs", contents: "export default { fetch() { return new Response(null, { status: 204 }); } };" }],
  unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
};

/** Processor time that a process has used, in ms; undefined where it is gone. */
function processorMs(pid) {
  try {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S;
  } catch {
    return undefined;
  }
}

/**
 * Calls `cut(why)` once, where the runtime with the process `pid()`, whose probe answers at `url`, computes for more than `limitMs` in one
 * stretch, or answers nothing for HUNG_MS though it does not compute.
 */
export function watchForLoops({ url, pid, limitMs, cut }) {
  let open; // the question that has no answer yet: {runtime, used: processor time when it was put, since}
  const ask = () => {
    const question = open;
    // Only an answer ends a stretch: what computes may refuse or break connections.
    fetch(url).then((answer) => answer.arrayBuffer()).then(() => open === question && (open = undefined), () => (question.again = true));
  };
  const timer = setInterval(() => {
    const runtime = pid();
    const used = processorMs(runtime);
    if (used === undefined) return;
    if (open?.runtime !== runtime) {
      open = { runtime, used, since: performance.now() };
      ask();
      return;
    }
    const waited = performance.now() - open.since;
    if (used - open.used > limitMs || waited > HUNG_MS) {
      clearInterval(timer);
      cut(used - open.used > limitMs ? `computed for more than ${limitMs} ms in one stretch (limits.cpu_ms)` : `answered nothing for ${HUNG_MS / 1000} s`);
    } else if (open.again) {
      open.again = false;
      ask();
    }
  }, EVERY_MS);
  timer.unref();
}
