import type { NextFunction, Request, RequestHandler, Response } from "express";
import { rateLimit } from "express-rate-limit";
import type { Config } from "../config.ts";
import { HttpError } from "../http/errors.ts";

const WINDOW_MS = 60_000;

/** {{text}} */
export default function create(config: Config): RequestHandler {
  if (config.rateLimitPerMinute === 0) {
    return (_request, _response, next) => next();
  }
  return rateLimit({
    windowMs: WINDOW_MS,
    limit: config.rateLimitPerMinute,
    standardHeaders: "draft-7",
    legacyHeaders: false,
    handler: (_request: Request, _response: Response, next: NextFunction) => {
      next(new HttpError(429, "rate_limited", "Too many requests; try again later"));
    },
  });
}
