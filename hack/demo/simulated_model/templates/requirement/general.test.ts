import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { discoverRoutes } from "../../src/http/discovery.ts";
import { tokenFor, useApp } from "../helpers/app.ts";

describe({{title}}, () => {
  const app = useApp();
  const token = tokenFor("00000000-0000-4000-8000-00000000cafe");

  test("every route answers odd input with a status of its own, never with 5xx", async () => {
    for (const { method, path } of await discoverRoutes()) {
      const target = path.replaceAll(/:[^/]+/g, "odd");
      const options = method === "get" || method === "delete" ? { token } : { token, body: [] };
      const answer = await app.call(method.toUpperCase(), target, options);
      assert.ok(answer.status >= 200 && answer.status < 500, `${method} ${path} answered ${answer.status}`);
    }
  });
});
