import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useApp } from "../helpers/app.ts";

describe({{title}}, () => {
  const limited = useApp({ config: { rateLimitPerMinute: 3 } });
  const unlimited = useApp();

  test("refuses what goes beyond the limit with 429 and says when to come back", async () => {
    for (let n = 0; n < 3; n += 1) {
      const answer = await limited.call("GET", "/health");
      assert.equal(answer.status, 200);
    }
    const refused = await limited.call("GET", "/health");
    assert.equal(refused.status, 429);
    assert.equal(refused.errorCode, "rate_limited");
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
  });

  test("is off when the limit is 0", async () => {
    for (let n = 0; n < 10; n += 1) {
      const answer = await unlimited.call("GET", "/health");
      assert.equal(answer.status, 200);
    }
  });
});
