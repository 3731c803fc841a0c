import type { RequestHandler } from "express";
import { globSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Config } from "../config.ts";
import type { Route } from "./route.ts";

const SOURCE = join(import.meta.dirname, "..");
const ROUTE_FILES = ["system/*.ts", "resources/*/*.ts"];
const MIDDLEWARE_FILES = ["middleware/*.ts"];

async function defaultExports(patterns: string[]): Promise<{ file: string; value: unknown }[]> {
  const files = globSync(patterns, { cwd: SOURCE }).toSorted();
  const load = async (file: string): Promise<{ file: string; value: unknown }> => {
    const module: { default?: unknown } = await import(pathToFileURL(join(SOURCE, file)).href);
    return { file, value: module.default };
  };
  return Promise.all(files.map(load));
}

function isRoute(value: unknown): value is Route {
  return typeof value === "object" && value !== null && "method" in value && "path" in value && "handler" in value;
}

/** A route's place: "~" stands behind every letter, so fixed segments come before parameters. */
function rank({ method, path }: Route): string {
  return `${path.replaceAll(/:[^/]+/g, "~")} ${method}`;
}

/** `/tasks/overdue` must not be taken for `/tasks/:id`; compared by code unit, which no locale changes. */
function byPrecedence(a: Route, b: Route): number {
  return rank(a) < rank(b) ? -1 : 1;
}

/** Load every route; throws when a file exports none or two files claim the same route. */
export async function discoverRoutes(): Promise<Route[]> {
  const claimed = new Map<string, string>();
  const routes: Route[] = [];
  for (const { file, value } of await defaultExports(ROUTE_FILES)) {
    if (!isRoute(value)) {
      throw new Error(`src/${file} must export a route as default: export default route({ … })`);
    }
    const key = `${value.method} ${value.path}`;
    const other = claimed.get(key);
    if (other) {
      throw new Error(`src/${file} and src/${other} both serve ${key}`);
    }
    claimed.set(key, file);
    routes.push(value);
  }
  return routes.toSorted(byPrecedence);
}

/** Load every middleware factory and build it, in the order of file names. */
export async function discoverMiddleware(config: Config): Promise<RequestHandler[]> {
  const found = await defaultExports(MIDDLEWARE_FILES);
  return found.map(({ file, value }) => {
    if (typeof value !== "function") {
      throw new TypeError(`src/${file} must export a middleware factory as default`);
    }
    const create = value as (config: Config) => RequestHandler;
    return create(config);
  });
}
