// What every module of the scaffold promises to all others. Comes with the stack; do not edit.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import jwt from "jsonwebtoken";
import { z } from "zod";
import { migrate } from "../../src/db/migrate.ts";
import { transaction } from "../../src/db/pool.ts";
import { insertInto, quote, setClause, whereClause } from "../../src/db/sql.ts";
import { discoverRoutes } from "../../src/http/discovery.ts";
import { conflict, forbidden, notFound, unauthorized } from "../../src/http/errors.ts";
import { type Route, route } from "../../src/http/route.ts";
import { notEmpty, pagination, parse, sanitize, text } from "../../src/http/validate.ts";
import { JWT_SECRET, tokenFor, useApp } from "../helpers/app.ts";

const AUTH = existsSync("src/http/auth.ts");

function probe(path: string, handler: Route["handler"], auth = false): Route {
  return route({ method: "post", path, auth, handler });
}

const numbers = z.object({ n: z.number() });
const routes: Route[] = [
  probe("/probe/parse", async ({ body }) => ({ status: 200, body: parse(numbers, body) })),
  probe("/probe/crash", async () => Promise.reject(new Error("secret detail"))),
  probe("/probe/empty", async () => ({ status: 204 })),
  probe("/probe/user", async ({ userId }) => ({ status: 200, body: { userId } }), AUTH),
  probe("/probe/sql", async ({ db, body }) => {
    const { sql } = parse(z.object({ sql: z.string() }), body);
    await db.query(sql);
    return { status: 200, body: {} };
  }),
];

describe("the application", () => {
  const app = useApp({ routes });

  test("answers the health check", async () => {
    const answer = await app.call("GET", "/health");
    assert.equal(answer.status, 200);
    assert.equal(answer.body["status"], "ok");
  });

  test("answers 404 with an error body for an unknown route", async () => {
    const answer = await app.call("GET", "/nowhere");
    assert.equal(answer.status, 404);
    assert.equal(answer.errorCode, "not_found");
  });

  test("answers 400 for malformed JSON", async () => {
    const answer = await app.call("POST", "/probe/parse", { rawBody: "{" });
    assert.equal(answer.status, 400);
    assert.equal(answer.errorCode, "validation_failed");
  });

  test("answers 413 for a body that is too large", async () => {
    const answer = await app.call("POST", "/probe/parse", { body: { n: "x".repeat(200_000) } });
    assert.equal(answer.status, 413);
  });

  test("answers 400 and names the faulty field", async () => {
    const answer = await app.call("POST", "/probe/parse", { body: { n: "one" } });
    assert.equal(answer.status, 400);
    assert.match(JSON.stringify(answer.body), /"path":"n"/);
  });

  test("answers 400 when a body is missing", async () => {
    assert.equal((await app.call("POST", "/probe/parse")).status, 400);
  });

  test("answers 500 without telling why", async () => {
    const answer = await app.call("POST", "/probe/crash");
    assert.equal(answer.status, 500);
    assert.equal(answer.errorCode, "internal_error");
    assert.doesNotMatch(JSON.stringify(answer.body), /secret detail/);
  });

  test("sends a reply without a body", async () => {
    const answer = await app.call("POST", "/probe/empty");
    assert.equal(answer.status, 204);
    assert.deepEqual(answer.body, {});
  });

  test("sends security headers and hides its framework", async () => {
    const { headers } = await app.call("GET", "/health");
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'/);
    assert.equal(headers.get("x-powered-by"), null);
  });

  test("serves every route once and has the health check among them", async () => {
    const found = await discoverRoutes();
    const keys = found.map(({ method, path }) => `${method} ${path}`);
    assert.equal(new Set(keys).size, keys.length);
    assert.ok(keys.includes("get /health"));
  });

  test("puts fixed segments before parameters", async () => {
    const found = await discoverRoutes();
    for (const [index, early] of found.entries()) {
      const pattern = new RegExp(`^${early.path.replaceAll(/:[^/]+/g, "[^/]+")}$`);
      const hidden = found.slice(index + 1).find((late) => late.method === early.method && pattern.test(late.path));
      assert.equal(hidden?.path.includes(":") ?? true, true, `${early.path} hides ${hidden?.path}`);
    }
  });
});

describe("database errors", () => {
  const app = useApp({ routes });
  const sql = async (statement: string): Promise<number> =>
    (await app.call("POST", "/probe/sql", { body: { sql: statement } })).status;

  test("become 409 for a duplicate and for a row still in use, 400 for a missing reference", async () => {
    await app.db.query("CREATE TABLE probe_a (id int PRIMARY KEY, n int NOT NULL CHECK (n > 0))");
    await app.db.query("CREATE TABLE probe_b (a int REFERENCES probe_a (id))");
    assert.equal(await sql("INSERT INTO probe_a VALUES (1, 1)"), 200);
    assert.equal(await sql("INSERT INTO probe_a VALUES (1, 1)"), 409);
    assert.equal(await sql("INSERT INTO probe_b VALUES (2)"), 400);
    assert.equal(await sql("INSERT INTO probe_b VALUES (1)"), 200);
    assert.equal(await sql("DELETE FROM probe_a"), 409);
    assert.equal(await sql("INSERT INTO probe_a VALUES (2, 0)"), 400);
    assert.equal(await sql("SELECT 'x'::uuid"), 400);
    assert.equal(await sql("SELECT nonsense"), 500);
  });
});

describe("authentication", { skip: AUTH ? false : "the project has none" }, () => {
  const app = useApp({ routes });
  const status = async (token?: string): Promise<number> =>
    (await app.call("POST", "/probe/user", token === undefined ? {} : { token })).status;

  test("gives the handler the account of a valid token", async () => {
    const answer = await app.call("POST", "/probe/user", { token: tokenFor("someone") });
    assert.equal(answer.status, 200);
    assert.equal(answer.body["userId"], "someone");
  });

  test("answers 401 without a token", async () => {
    assert.equal(await status(), 401);
  });

  test("answers 401 for a token that expired, has another key, or no signature", async () => {
    assert.equal(await status(jwt.sign({}, JWT_SECRET, { subject: "x", expiresIn: -1 })), 401);
    assert.equal(await status(jwt.sign({}, "another-secret-of-more-than-32-characters", { subject: "x" })), 401);
    assert.equal(await status(jwt.sign({}, "", { subject: "x", algorithm: "none" })), 401);
    assert.equal(await status(jwt.sign({}, JWT_SECRET)), 401);
    assert.equal(await status("nonsense"), 401);
  });
});

describe("the database layer", () => {
  const app = useApp();

  test("applies each migration once", async () => {
    assert.deepEqual(await migrate(app.db), []);
  });

  test("rolls a failed transaction back", async () => {
    await app.db.query("CREATE TABLE probe_c (n int)");
    const failing = transaction(app.db, async (db) => {
      await db.query("INSERT INTO probe_c VALUES (1)");
      throw new Error("stop");
    });
    await assert.rejects(failing, /stop/);
    assert.equal((await app.db.query("SELECT * FROM probe_c")).rowCount, 0);
    assert.equal(await transaction(app.db, async () => 7), 7);
  });

  test("keeps dates as text and big numbers as numbers", async () => {
    const { rows } = await app.db.query("SELECT DATE '2024-02-29' AS d, 5::bigint AS b, 1.5::numeric AS n");
    assert.deepEqual({ ...rows[0] }, { d: "2024-02-29", b: 5, n: 1.5 });
  });

  test("builds parameterised fragments and refuses odd names", () => {
    assert.equal(quote("order"), '"order"');
    assert.throws(() => quote('x"; DROP TABLE y; --'));
    assert.deepEqual(insertInto("t", { a: 1, b: 2 }), { text: 'INSERT INTO "t" ("a", "b") VALUES ($1, $2)', values: [1, 2] });
    assert.deepEqual(insertInto("t", {}), { text: 'INSERT INTO "t" DEFAULT VALUES', values: [] });
    assert.deepEqual(setClause({ a: 1, b: 2 }, 2), { text: '"a" = $2, "b" = $3', values: [1, 2] });
    assert.deepEqual(whereClause({ a: 1, b: undefined }), { text: 'WHERE "a" = $1', values: [1] });
    assert.deepEqual(whereClause({}), { text: "", values: [] });
  });
});

describe("input helpers", () => {
  test("remove markup and control characters", () => {
    assert.equal(sanitize(" <script>alert(1)</script>a\u0000<b>b</b> "), "alert(1)ab");
    assert.equal(sanitize("1 < 2 and 3 > 2"), "1 < 2 and 3 > 2");
  });

  test("check length after cleaning", () => {
    assert.equal(text(1, 3).safeParse("<i></i>").success, false);
    assert.equal(text(1, 3).safeParse(" abc ").data, "abc");
    assert.equal(text(1, 3).safeParse("abcd").success, false);
  });

  test("bound pages", () => {
    assert.deepEqual(pagination.parse({}), { limit: 20, offset: 0 });
    assert.equal(pagination.safeParse({ limit: "101" }).success, false);
    assert.equal(pagination.safeParse({ offset: "-1" }).success, false);
  });

  test("tell an empty object", () => {
    assert.equal(notEmpty({}), false);
    assert.equal(notEmpty({ a: 1 }), true);
  });

  test("name errors by status and code", () => {
    assert.deepEqual(
      [unauthorized("a"), forbidden("b"), notFound("c"), conflict("d")].map(({ status, code }) => [status, code]),
      [[401, "unauthorized"], [403, "forbidden"], [404, "not_found"], [409, "conflict"]],
    );
  });
});
