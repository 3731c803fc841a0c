import jwt from "jsonwebtoken";
import type { Config } from "../config.ts";
import { unauthorized } from "./errors.ts";

export const TOKEN_LIFETIME_SECONDS = {{token_seconds}};

/** Sign a token for an account. */
export function signToken(userId: string, config: Config): string {
  return jwt.sign({}, config.jwtSecret, {
    algorithm: "HS256",
    subject: userId,
    expiresIn: TOKEN_LIFETIME_SECONDS,
  });
}

/** Check an Authorization header and give the account's id; fails with 401. */
export function authenticate(header: string | undefined, config: Config): string {
  const [scheme, token] = (header ?? "").split(" ");
  if (scheme?.toLowerCase() !== "bearer" || !token) {
    throw unauthorized("A bearer token is required");
  }
  let subject: unknown;
  try {
    subject = jwt.verify(token, config.jwtSecret, { algorithms: ["HS256"] }).sub;
  } catch {
    throw unauthorized("The token is invalid or has expired");
  }
  if (typeof subject !== "string" || subject === "") {
    throw unauthorized("The token names no account");
  }
  return subject;
}
