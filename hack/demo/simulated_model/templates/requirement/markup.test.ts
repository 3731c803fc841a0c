import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { sanitize } from "../../src/http/validate.ts";
import { useApp } from "../helpers/app.ts";

describe({{title}}, () => {
  const app = useApp();

  test("markup is removed from input", () => {
    assert.equal(sanitize('<img src=x onerror="alert(1)">hello'), "hello");
    assert.equal(sanitize("<script>alert(1)</script>"), "alert(1)");
  });

  test("answers are JSON that no browser takes for a page", async () => {
    const answer = await app.call("GET", "/health");
    assert.match(answer.headers.get("content-type") ?? "", /^application\/json/);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
    assert.match(answer.headers.get("content-security-policy") ?? "", /default-src 'none'/);
  });
});
