// Cron triggers of a hosted Worker: at most once a tick, also across restarts. The last tick of each is on disk before its handler runs;
// ticks that came while nothing ran are said and not made up for.
import fs from "node:fs";
import path from "node:path";
import { UserError } from "./wrangler.mjs";

const LONGEST_WAIT_MS = 3_600_000; // the clock may be set meanwhile
const COUNTED = 1000;

/** Cloudflare's dialect: five fields, UTC, days of the week 1 (Sunday) to 7; L, W and # as there. */
function parse(Cron, expression) {
  return new Cron(expression, { mode: "5-part", timezone: "UTC", alternativeWeekdays: true, paused: true });
}

/** Throws a UserError for the first that is no cron expression. */
export function checkCrons(Cron, crons) {
  for (const cron of crons) {
    try {
      parse(Cron, cron);
    } catch (error) {
      throw new UserError(`triggers.crons: ${JSON.stringify(cron)} is no cron expression of five fields: ${error.message}`);
    }
  }
}

/**
 * Where a trigger stands, times in ms: its next tick after `last` (the last one fired, or undefined) that is not over at `now`, and how
 * many passed in between, COUNTED at most.
 */
export function plan(Cron, expression, last, now) {
  const cron = parse(Cron, expression);
  const after = (time) => cron.nextRun(new Date(time))?.getTime();
  let missed = 0;
  let next = last === undefined ? after(now - 1) : after(Math.min(last, now));
  for (; next !== undefined && next < now && missed < COUNTED; next = after(next)) missed += 1;
  return { next: next !== undefined && next < now ? after(now - 1) : next, missed };
}

/** Runs `fire(cron, time)` at each tick until stop() of what it gives; `file` keeps the last ticks, `say(message)` tells of missed ones. */
export function schedule(Cron, crons, { file, fire, say }) {
  const read = () => {
    try {
      return JSON.parse(fs.readFileSync(file, "utf8"));
    } catch {
      return {}; // the first start
    }
  };
  let last = read();
  const keep = () => {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(`${file}.new`, JSON.stringify(last));
    fs.renameSync(`${file}.new`, file);
  };
  const timers = new Map();
  for (const cron of crons) {
    const { missed } = plan(Cron, cron, last[cron], Date.now());
    if (missed) say(`cron "${cron}": ${missed === COUNTED ? "at least " : ""}${missed} ticks passed while the Worker did not run; they are not made up for`);
    // From here on: a tick that has passed is missed once.
    let from = Math.max(last[cron] ?? 0, Date.now() - 1);
    const wait = () => {
      const { next } = plan(Cron, cron, from, from + 1);
      if (next === undefined) return; // a date that never comes
      const left = next - Date.now();
      if (left > 0) return void timers.set(cron, setTimeout(wait, Math.min(left, LONGEST_WAIT_MS)));
      last = read(); // a predecessor may have had it
      from = next;
      if ((last[cron] ?? 0) < next) {
        last[cron] = next;
        keep();
        fire(cron, next);
      }
      wait();
    };
    wait();
  }
  return { stop: () => timers.forEach((timer) => clearTimeout(timer)) };
}
