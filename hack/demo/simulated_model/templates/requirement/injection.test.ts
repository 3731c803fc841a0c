import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { discoverRoutes } from "../../src/http/discovery.ts";
import { tokenFor, useApp } from "../helpers/app.ts";

const ATTACKS = ["' OR '1'='1", "1; DROP TABLE schema_migrations; --", '" OR ""="'];

describe({{title}}, () => {
  const app = useApp();
  const token = tokenFor("00000000-0000-4000-8000-00000000cafe");

  test("no path parameter, query or body reaches the database as SQL", async () => {
    for (const { method, path } of await discoverRoutes()) {
      for (const attack of ATTACKS) {
        const target = path.replaceAll(/:[^/]+/g, encodeURIComponent(attack));
        const body = method === "get" || method === "delete" ? {} : { body: { name: attack, email: attack, id: attack } };
        const query = method === "get" ? `?limit=${encodeURIComponent(attack)}&q=${encodeURIComponent(attack)}` : "";
        const answer = await app.call(method.toUpperCase(), target + query, { token, ...body });
        assert.ok(answer.status < 500, `${method} ${path} answered ${answer.status} to ${attack}`);
      }
    }
    const { rows } = await app.db.query("SELECT to_regclass('schema_migrations') AS name");
    assert.equal(rows[0]?.name, "schema_migrations");
  });
});
