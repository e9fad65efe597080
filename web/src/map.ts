// Nodes on a map of the world, each with its round trip.
import land from "virtual:land";
import { h, svg } from "./dom";

export interface MapNode { name: string; state: string; rtt_ms: number; latitude?: number; longitude?: number }

export function nodeMap(nodes: MapNode[]): HTMLElement | null {
  const placed = nodes.filter((node) => node.latitude !== undefined && node.longitude !== undefined);
  if (!placed.length) return nodes.length > 1 ? h("p", { class: "hint" }, "No node says where it is: --coordinates LAT,LON puts it on the map.") : null;
  const words = (node: MapNode) => `${node.name}, ${node.state}${node.rtt_ms >= 0 ? `, ${node.rtt_ms.toFixed(1)} ms` : ""}`;
  // Nodes of one place would hide each other: each further one is written a line lower.
  const seen = new Map<string, number>();
  return h("figure", { class: "panel" }, h("figcaption", {}, "Nodes and their round trips from this gateway"),
    svg("svg", { viewBox: "0 0 360 150", class: "map", role: "img", "aria-label": placed.map(words).join("; ") },
      svg("path", { d: land, class: "land" }),
      placed.map((node) => {
        const x = node.longitude! + 180, y = 90 - node.latitude!;
        const place = `${Math.round(x / 4)},${Math.round(y / 4)}`, line = seen.get(place) ?? 0;
        seen.set(place, line + 1);
        return svg("g", { transform: `translate(${x} ${y})`, class: "node " + node.state },
          svg("circle", { r: 2.5 }), svg("text", { x: x > 270 ? -4 : 4, y: 2 + line * 6, "font-size": 5.5, "text-anchor": x > 270 ? "end" : "start" }, words(node)));
      })));
}
