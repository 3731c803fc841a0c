import type { Request, RequestHandler } from "express";
import type { Config } from "../config.ts";
import type { Pool } from "../db/pool.ts";
//#if jwt
import { authenticate } from "./auth.ts";
import { unauthorized } from "./errors.ts";
//#end

export interface Context {
  readonly db: Pool;
  readonly config: Config;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: unknown;
  readonly body: unknown;
  /** Id of the authenticated account; null on routes with `auth: false`. */
  readonly userId: string | null;
}

export interface Reply {
  readonly status: number;
  readonly body?: unknown;
}

export interface Route {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  readonly path: string;
  /** Whether a valid bearer token is demanded before the handler runs. */
  readonly auth: boolean;
  readonly handler: (context: Context) => Promise<Reply>;
}

/** Declare a route; the file that exports it as default is found at start. */
export function route(definition: Route): Route {
  return definition;
}

//#if jwt
/** Give the authenticated account's id, or fail with 401. */
export function currentUser(context: Context): string {
  if (context.userId === null) {
    throw unauthorized("Authentication is required");
  }
  return context.userId;
}

//#end
/** Turn a route into an Express handler; errors reach the error handler by Express itself. */
export function toHandler(definition: Route, { db, config }: Pick<Context, "db" | "config">): RequestHandler {
  return async (request: Request, response): Promise<void> => {
    //#if jwt
    const userId = definition.auth ? authenticate(request.get("authorization"), config) : null;
    //#else
    const userId = null;
    //#end
    const { params, query } = request;
    const body: unknown = request.body;
    const reply = await definition.handler({ db, config, params, query, body, userId });
    response.status(reply.status);
    if (reply.body === undefined) {
      response.end();
    } else {
      response.json(reply.body);
    }
  };
}
