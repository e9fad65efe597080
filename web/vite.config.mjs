// The page is one HTML file, one script and one style: Verge serves them below /verge/page/.
import { readFileSync } from "node:fs";
import { feature } from "topojson-client";

// Coastlines (Natural Earth, public domain) as the path of an SVG of 360 by 180 degrees, one decimal.
function land() {
  const id = "virtual:land";
  return {
    name: "land",
    resolveId: (source) => (source === id ? "\0" + id : null),
    load(source) {
      if (source !== "\0" + id) return null;
      const world = JSON.parse(readFileSync("node_modules/world-atlas/land-110m.json", "utf8"));
      const shapes = feature(world, world.objects.land).features ?? [feature(world, world.objects.land)];
      const rings = shapes.flatMap((shape) =>
        shape.geometry.type === "Polygon" ? shape.geometry.coordinates : shape.geometry.coordinates.flat());
      const path = rings.map((ring) =>
        "M" + ring.map(([x, y]) => `${(x + 180).toFixed(1)} ${(90 - y).toFixed(1)}`).join("L") + "Z").join("");
      return `export default ${JSON.stringify(path)};`;
    },
  };
}

export default {
  base: "/verge/",
  plugins: [land()],
  build: {
    assetsDir: "page",
    // Nothing inline: the policy of the page forbids it.
    assetsInlineLimit: 0,
    modulePreload: false,
    cssCodeSplit: false,
    target: "es2022",
  },
};
