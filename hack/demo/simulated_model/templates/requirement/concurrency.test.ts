import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useApp } from "../helpers/app.ts";

const REQUESTS = {{count}};

describe({{title}}, () => {
  const app = useApp();

  test(`answers ${REQUESTS} requests that arrive at once`, async () => {
    const answers = await Promise.all(Array.from({ length: REQUESTS }, () => app.call("GET", "/health")));
    assert.equal(answers.filter(({ status }) => status === 200).length, REQUESTS);
  });
});
