import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { discoverRoutes } from "../../src/http/discovery.ts";
import { tokenFor, useApp } from "../helpers/app.ts";

const SAMPLES = 60;
// A machine that is busy with other things must not decide: the best of some rounds counts.
const ROUNDS = 3;
const LIMIT_MS = {{limit}};

function p95(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.95)] ?? 0;
}

describe({{title}}, () => {
  const app = useApp();
  const token = tokenFor("00000000-0000-4000-8000-00000000cafe");

  test(`the 95th percentile of reading requests stays below ${LIMIT_MS} ms`, async () => {
    const found = await discoverRoutes();
    const paths = found.filter(({ method, path }) => method === "get" && !path.includes(":")).map(({ path }) => path);
    const round = async (): Promise<number> => {
      const times: number[] = [];
      for (let n = 0; n < SAMPLES; n += 1) {
        const start = performance.now();
        const answer = await app.call("GET", paths[n % paths.length] ?? "/health", { token });
        times.push(performance.now() - start);
        assert.ok(answer.status < 500);
      }
      return p95(times);
    };
    let best = await round();
    for (let n = 1; n < ROUNDS && best >= LIMIT_MS; n += 1) {
      best = Math.min(best, await round());
    }
    assert.ok(best < LIMIT_MS, `p95 is ${best.toFixed(1)} ms`);
  });
});
