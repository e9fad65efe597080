// What the server does: models, memory, queues, requests over time, nodes, accounts, Workers.
import uPlot from "uplot";
import { accountPath, ApiError, ask, askJson } from "./api";
import { bytes, h, replace, table } from "./dom";
import { nodeMap } from "./map";
import { errorBox } from "./parts";

const everyMs = 2000, kept = 300;

// Samples of Prometheus' text: the sum over all labels that `matches` takes.
export type Sample = { name: string; labels: Record<string, string>; value: number };
export function samples(text: string): Sample[] {
  const out: Sample[] = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!parts || line.startsWith("#")) continue;
    const labels: Record<string, string> = {};
    for (const [, name, value] of (parts[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) labels[name] = value.replace(/\\(.)/g, "$1");
    out.push({ name: parts[1], labels, value: Number(parts[3]) });
  }
  return out;
}
const total = (all: Sample[], name: string, matches = (_: Record<string, string>) => true) =>
  all.filter((one) => one.name === name && matches(one.labels)).reduce((sum, one) => sum + one.value, 0);

// The dashboard's own questions are left out of what it counts.
const own = /^\/(verge|metrics|healthz|readyz|$)|^preflight$|^\/openapi/;
const asked = (labels: Record<string, string>) => !own.test(labels.route ?? "");

class Chart {
  readonly element: HTMLElement;
  private readonly holder = h("div", { class: "chart" });
  private readonly words = h("p", { class: "hint" });
  private plot: uPlot | null = null;
  constructor(title: string, private readonly names: string[], private readonly unit: string) {
    this.element = h("figure", { class: "panel" }, h("figcaption", {}, title), this.holder, this.words);
    this.holder.setAttribute("aria-hidden", "true");
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(this.holder);
  }
  private size() { return { width: Math.max(200, this.holder.clientWidth), height: 160 }; }
  update(data: uPlot.AlignedData) {
    const last = data.slice(1).map((series) => Number(series[series.length - 1] ?? 0));
    this.words.textContent = this.names.map((name, i) => `${name}: ${last[i]?.toFixed(last[i] < 10 ? 1 : 0) ?? 0} ${this.unit}`).join(" · ");
    if (!this.holder.isConnected) return;
    if (this.plot) return this.plot.setData(data);
    const style = getComputedStyle(document.documentElement), colour = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    this.plot = new uPlot({
      ...this.size(), legend: { show: false }, cursor: { show: false },
      axes: [axis, { ...axis, size: 44 }], // Two minutes at least, so that the first sample stands at the right.
      scales: { x: { range: (_, first, last) => [Math.min(first ?? 0, (last ?? 0) - 120), last ?? 0] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
      series: [{}, ...this.names.map((label, i) => ({ label, stroke: colour(["--accent", "--bad", "--good"][i]), width: 2, points: { show: false } }))],
    }, data, this.holder);
  }
}

export function dashboardPage(): HTMLElement {
  const tiles = h("div", { class: "tiles" }), trouble = h("div", {}), tables = h("div", {}), map = h("div", {}), usage = h("div", {});
  const charts = [
    new Chart("Requests", ["Requests", "Errors"], "a second"),
    new Chart("At work", ["Under way", "Waiting"], "requests"),
    new Chart("Tokens", ["Written", "Read"], "a second"),
  ];
  const times: number[] = [], series: number[][] = [[], [], [], [], [], []];
  let before: { at: number; requests: number; errors: number; written: number; read: number } | null = null;
  let usageAt = 0, mayAdminister = true;

  function count(all: Sample[], queued: number) {
    const now = {
      at: performance.now(),
      requests: total(all, "verge_http_requests_total", asked),
      errors: total(all, "verge_http_requests_total", (labels) => asked(labels) && /^[45]/.test(labels.status)),
      written: total(all, "verge_generation_tokens_total"),
      read: total(all, "verge_prompt_tokens_total"),
    };
    if (before) {
      const seconds = (now.at - before.at) / 1000;
      const rate = (name: "requests" | "errors" | "written" | "read") => Math.max(0, (now[name] - before![name]) / seconds);
      times.push(Date.now() / 1000);
      // The scrape itself is under way while it is answered.
      const values = [rate("requests"), rate("errors"), Math.max(0, total(all, "verge_requests_in_flight") - 1), queued, rate("written"), rate("read")];
      values.forEach((value, i) => series[i].push(value));
      if (times.length > kept) [times, ...series].forEach((list) => list.shift());
      charts.forEach((chart, i) => chart.update([times, series[2 * i], series[2 * i + 1]]));
    }
    before = now;
    const mean = (name: string, scale: number) => {
      const times = total(all, name + "_count");
      return times ? (total(all, name + "_sum") / times) * scale : null;
    };
    const first = mean("verge_time_to_first_token_seconds", 1000), between = mean("verge_time_per_output_token_seconds", 1);
    return { first, speed: between ? 1 / between : null, requests: now.requests, errors: now.errors };
  }

  function draw(status: any, nodes: any[], text: string | null) {
    const all = text ? samples(text) : [];
    const models: any[] = status.models ?? [];
    const queued = nodes.flatMap((node) => node.models).reduce((sum: number, model: any) => sum + model.queued, 0);
    const figures = text ? count(all, queued) : null;
    const tile = (name: string, value: string, hint = "") => h("div", { class: "tile" }, h("dt", {}, name), h("dd", {}, value, hint ? h("small", {}, hint) : null));
    const budget = status.memory_budget_bytes;
    replace(tiles, h("dl", {},
      tile("Server", status.state, status.name),
      budget ? tile("Memory of models", bytes(status.memory_reserved_bytes), `of ${bytes(budget)}`) : null,
      tile("Models loaded", String(models.filter((model) => model.state === "ready").length)),
      tile("Queue", String(queued), "requests wait"),
      figures ? tile("Requests", String(figures.requests), `${figures.errors} failed`) : null,
      figures?.first ? tile("First token", `${Math.round(figures.first)} ms`, "on average") : null,
      figures?.speed ? tile("Speed of an answer", `${figures.speed.toFixed(1)}`, "tokens/s on average") : null));
    replace(tables,
      models.length ? table("Models of this server", ["Model", "State", "Weights", "Cache", "Batch", "Waiting", "Requests", "Crashes"], models.map((model) =>
        [model.id, model.state + (model.state === "loading" && model.progress ? ` ${Math.round(model.progress * 100)} %` : ""), model.weight_bytes ? bytes(model.weight_bytes) : "–",
          model.kv_bytes ? bytes(model.kv_bytes) : "–", model.in_flight ?? 0, model.waiting ?? 0, model.requests ?? 0, model.crashes ?? 0]))
        : h("p", { class: "hint" }, "No model is loaded. A model is loaded with its first request."),
      status.workers ? table("Workers", ["Worker", "State", "Why"], status.workers.map((worker: any) => [worker.name, worker.state, worker.error ?? worker.reload_error ?? ""]))
        : h("p", { class: "hint" }, "No Worker is hosted. ", h("a", { href: "/verge/docs/first-worker.html" }, "Host one"), " with --worker."));
    const answered = new Map<string, number>();
    for (const one of all) if (one.name === "verge_router_attempts_total" && one.labels.node) answered.set(one.labels.node, (answered.get(one.labels.node) ?? 0) + one.value);
    replace(map, nodeMap(nodes),
      table("Nodes, as this gateway measures them", ["Node", "Region", "State", "Round trip", "Free memory", "Under way", "Waiting", "Models"], nodes.map((node) =>
        [node.name, node.region || "–", node.state, node.rtt_ms >= 0 ? `${node.rtt_ms.toFixed(1)} ms` : "–", bytes(node.memory_free_bytes), node.under_way,
          node.models.reduce((sum: number, model: any) => sum + model.queued, 0), node.models.filter((model: any) => model.state === "ready").map((model: any) => model.id).join(", ") || "none loaded"])));
  }

  function drawUsage(report: any, who: string) {
    const rows: any[] = report.rows ?? [];
    replace(usage, rows.length ? table(`Used today, ${who}`, ["Account", "Model", "Requests", "Failed", "Read", "Written", "Seconds of sound", "Neurons"], rows.map((row) =>
      [row.account ?? who, row.model ?? "", row.requests, row.failed, row.prompt_tokens, row.completion_tokens, Number(row.audio_seconds.toFixed(1)), Number(row.neurons.toFixed(2))]))
      : h("p", { class: "hint" }, `Nothing was used today (${who}).`),
      report.allocation ? h("p", {}, `Neurons of today: ${report.allocation.used?.toFixed?.(1) ?? report.allocation.used} of ${report.allocation.limit ?? "no limit"}`) : null);
  }

  async function step() {
    if (mayAdminister) {
      try {
        const [status, nodes, text] = await Promise.all([
          askJson("/verge/v1/status"), askJson("/verge/v1/nodes"), ask("/metrics", { quiet: true }).then((answer) => answer.text()).catch(() => null)]);
        draw(status, nodes, text);
        replace(trouble);
      } catch (failure) {
        // A token that may run models may not see the server: what its own account used is all there is to show.
        if (failure instanceof ApiError && (failure.status === 403 || failure.status === 401)) mayAdminister = false;
        replace(trouble, errorBox(failure));
      }
    }
    if (Date.now() - usageAt > 10000) {
      usageAt = Date.now();
      try {
        if (mayAdminister) drawUsage((await askJson("/verge/v1/usage?by=account,model")).result, "all accounts");
        else drawUsage((await askJson(() => accountPath("usage?by=model"), { quiet: true })).result, "your account");
      } catch (failure) {
        replace(usage, h("p", { class: "hint" }, (failure as Error).message));
      }
    }
  }
  const page = h("div", {}, trouble, tiles, h("div", { class: "charts" }, charts.map((chart) => chart.element)), map, tables,
    h("h2", {}, "Accounts"), usage,
    h("p", { class: "hint" }, "Tokens and limits are set on the command line: ", h("code", {}, "verge token"), " and ", h("code", {}, "verge account"),
      ". Models are fetched with ", h("code", {}, "verge pull ID"), ", which shows how far it is. The API has no route for either."));
  // Asks while it is looked at, and not else.
  (async () => {
    for (;;) {
      if (page.isConnected && !document.hidden) await step();
      await new Promise((resolve) => setTimeout(resolve, page.isConnected ? everyMs : 500));
    }
  })();
  return page;
}
