// The folder in which the hosted Workers of a server find each other, a file of Miniflare's each. Two of one name are there while new code
// takes the place of old.
import fs from "node:fs";
import path from "node:path";

/**
 * Makes Miniflare register `name` although its predecessor, which still runs, has done so: Miniflare would leave that one its place
 * until it has ended for 90 s. Gives a function to call once it has registered.
 */
export function takeName(registry, name) {
  const taken = path.join(registry, name);
  const { statSync } = fs;
  fs.statSync = (file, ...more) => (file === taken ? undefined : statSync(file, ...more));
  return () => {
    fs.statSync = statSync;
  };
}
