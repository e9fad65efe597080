// Cuts a runtime that computes without end. workerd runs all of a Worker on one thread: while that gives way, a second Worker in the same
// runtime answers. What has no answer yet and has used the limit of processor time meanwhile is one stretch of computing.
import fs from "node:fs";

const EVERY_MS = 500;
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

/** Calls `cut()` once, where the runtime `pid`, whose probe answers at `url`, computes for more than `limitMs` in one stretch. */
export function watchForLoops({ url, pid, limitMs, cut }) {
  let asked; // processor time when the open question was put
  const timer = setInterval(() => {
    const used = processorMs(pid);
    if (used === undefined) return;
    if (asked === undefined) {
      asked = used;
      fetch(url).then((answer) => answer.arrayBuffer()).catch(() => {}).finally(() => (asked = undefined));
    } else if (used - asked > limitMs) {
      clearInterval(timer);
      cut();
    }
  }, EVERY_MS);
  timer.unref();
}
