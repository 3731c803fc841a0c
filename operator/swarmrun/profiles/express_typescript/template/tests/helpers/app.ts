import jwt from "jsonwebtoken";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before } from "node:test";
import { createApp } from "../../src/app.ts";
import type { Config } from "../../src/config.ts";
import { migrate } from "../../src/db/migrate.ts";
import { createPool, type Pool } from "../../src/db/pool.ts";
import type { Route } from "../../src/http/route.ts";

export const JWT_SECRET = "a-test-secret-of-more-than-32-characters";

/** Settings of the application under test; `useApp` overrides single ones. */
const TEST_CONFIG = {
  port: 0,
  databaseUrl: process.env["DATABASE_URL"] ?? "",
  jwtSecret: JWT_SECRET,
  bcryptRounds: 4,
  rateLimitPerMinute: 0,
};

export interface CallOptions {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is, for malformed input. */
  readonly rawBody?: string;
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  /** The parsed JSON object; empty when there was no body. */
  readonly body: Record<string, unknown>;
  /** `error.code` of an error answer, else undefined. */
  readonly errorCode: string | undefined;
  readonly headers: Headers;
}

export interface TestApp {
  /** Pool on this test file's own, migrated schema. */
  readonly db: Pool;
  readonly config: Config;
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Answer>;
}

export interface AppSettings {
  readonly config?: Partial<typeof TEST_CONFIG>;
  readonly routes?: readonly Route[];
}

/** A token as the service's login issues it: HS256, `sub` is the account's id, 24 hours. */
export function tokenFor(userId: unknown): string {
  return jwt.sign({}, JWT_SECRET, { algorithm: "HS256", subject: String(userId), expiresIn: "24h" });
}

let schemas = 0;

/** Start the application for the enclosing `describe`, on a database schema of its own. */
export function useApp({ config: overrides = {}, routes = [] }: AppSettings = {}): TestApp {
  const config = { ...TEST_CONFIG, ...overrides };
  schemas += 1;
  const schema = `test_${process.pid}_${schemas}`;
  let pool: Pool | undefined;
  let server: Server | undefined;

  before(async () => {
    const admin = createPool(config.databaseUrl, { max: 1 });
    await admin.query(`CREATE SCHEMA ${schema}`);
    await admin.end();
    pool = createPool(config.databaseUrl, { schema, max: 5 });
    await migrate(pool);
    const app = await createApp({ db: pool, config, routes });
    server = await new Promise<Server>((resolve) => {
      const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
    });
  });

  after(async () => {
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    await pool?.query(`DROP SCHEMA ${schema} CASCADE`);
    await pool?.end();
  });

  const started = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error("call useApp() inside describe(), and use it inside test()");
    return value;
  };

  return {
    config,
    get db(): Pool {
      return started(pool);
    },
    call: async (method, path, options = {}) => {
      const { port } = started(server).address() as AddressInfo;
      return request(`http://127.0.0.1:${port}${path}`, method, options);
    },
  };
}

async function request(url: string, method: string, options: CallOptions): Promise<Answer> {
  const payload = options.rawBody ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
  const response = await fetch(url, {
    method,
    headers: {
      ...(payload !== undefined && { "content-type": "application/json" }),
      ...(options.token && { authorization: `Bearer ${options.token}` }),
      ...options.headers,
    },
    ...(payload !== undefined && { body: payload }),
  });
  const text = await response.text();
  const body = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
  const error = body["error"] as { code?: string } | undefined;
  return { status: response.status, body, errorCode: error?.code, headers: response.headers };
}
