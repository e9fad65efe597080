// The API's description, rendered.
import { askJson } from "./api";
import { pretty } from "./code";
import { h, replace, table } from "./dom";
import { errorBox } from "./parts";

function schemaOf(document: any, schema: any): any {
  if (!schema?.$ref) return schema;
  return schema.$ref.split("/").slice(1).reduce((at: any, key: string) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], document);
}
const typeOf = (schema: any): string =>
  Array.isArray(schema?.type) ? schema.type.join(" or ") : schema?.type ?? (schema?.oneOf || schema?.anyOf ? "one of several" : schema?.$ref?.split("/").pop() ?? "any");

function details(document: any, schema: any): HTMLElement | null {
  schema = schemaOf(document, schema);
  const branch = schema?.properties ? schema : (schema?.oneOf ?? schema?.anyOf)?.map((one: any) => schemaOf(document, one)).find((one: any) => one?.properties);
  if (!branch?.properties) return schema ? h("pre", { tabindex: "0", "aria-label": "Schema" }, pretty(schema).slice(0, 4000)) : null;
  const required = new Set(branch.required ?? []);
  return table("Members", ["Name", "Type", "What it is"], Object.entries<any>(branch.properties).map(([name, one]) =>
    [name + (required.has(name) ? " *" : ""), typeOf(one), one.description ?? ""]));
}

export function referencePage(): HTMLElement {
  const page = h("div", { class: "narrow" }, h("p", {}, "Loading …"));
  askJson("/verge/openapi.json", { quiet: true }).then((document) => {
    const groups = new Map<string, HTMLElement[]>();
    for (const [path, item] of Object.entries<any>(document.paths))
      for (const [method, operation] of Object.entries<any>(item)) {
        const list = groups.get(operation.tags[0]) ?? [];
        groups.set(operation.tags[0], list);
        const row = h("details", { class: "operation", ontoggle: () => {
          if (!row.open || row.childElementCount > 1) return;
          row.append(h("div", {}, operation.description ? h("p", {}, operation.description) : null,
            operation.parameters?.length ? table("Parameters", ["Name", "In", "Type"], operation.parameters.map((one: any) => {
              const parameter = one.$ref ? schemaOf(document, one) : one;
              return [parameter.name + (parameter.required ? " *" : ""), parameter.in, typeOf(parameter.schema)];
            })) : null,
            Object.entries<any>(operation.requestBody?.content ?? {}).map(([type, content]) => [h("h4", {}, `Body: ${type}`), details(document, content.schema)]),
            Object.entries<any>(operation.responses).filter(([status]) => status === "200").flatMap(([status, answer]) =>
              Object.entries<any>(answer.content ?? {}).map(([type, content]) => [h("h4", {}, `${status}: ${type}`), details(document, content.schema)]))));
        } }, h("summary", {}, h("span", { class: "method" }, method.toUpperCase()), " ", h("code", {}, path), h("span", { class: "hint" }, " " + operation.summary)));
        list.push(row);
      }
    replace(page, h("p", {}, "Described by ", h("a", { href: "/verge/openapi.json" }, "openapi.json"), ` (OpenAPI ${document.openapi}); in words in `, h("a", { href: "/verge/docs/api.html" }, "the API reference"), "."),
      [...groups].map(([tag, rows]) => [h("h2", {}, tag), rows]));
  }).catch((failure) => replace(page, errorBox(failure)));
  return page;
}
