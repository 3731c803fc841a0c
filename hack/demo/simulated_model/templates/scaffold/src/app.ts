import express, { type Express, type NextFunction, type Request, type Response } from "express";
import type { Config } from "./config.ts";
import type { Pool } from "./db/pool.ts";
import { discoverMiddleware, discoverRoutes } from "./http/discovery.ts";
import { notFound, toHttpError } from "./http/errors.ts";
import { type Route, toHandler } from "./http/route.ts";

export interface AppOptions {
  readonly db: Pool;
  readonly config: Config;
  /** Routes besides the discovered ones. */
  readonly routes?: readonly Route[];
}

const BODY_LIMIT = "100kb";

function securityHeaders(_request: Request, response: Response, next: NextFunction): void {
  response.set({
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
  });
  next();
}

/** The fourth parameter is what makes Express treat this as an error handler. */
function reportError(error: unknown, _request: Request, response: Response, next: NextFunction): void {
  if (response.headersSent) {
    next(error);
    return;
  }
  const { status, code, message, details } = toHttpError(error);
  if (status >= 500) {
    process.stderr.write(`${JSON.stringify({ level: "error", message: "request failed", error: String(error) })}\n`);
  }
  response.status(status).json({ error: { code, message, ...(details && { details }) } });
}

/** Build the application from what src/middleware, src/system and src/resources hold. */
export async function createApp({ db, config, routes = [] }: AppOptions): Promise<Express> {
  const app = express();
  app.disable("x-powered-by");
  app.use(securityHeaders);
  for (const middleware of await discoverMiddleware(config)) {
    app.use(middleware);
  }
  app.use(express.json({ limit: BODY_LIMIT }));
  for (const route of [...(await discoverRoutes()), ...routes]) {
    app[route.method](route.path, toHandler(route, { db, config }));
  }
  app.use(() => {
    throw notFound("Route");
  });
  app.use(reportError);
  return app;
}
