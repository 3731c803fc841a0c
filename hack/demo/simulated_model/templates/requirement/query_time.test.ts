import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useApp } from "../helpers/app.ts";

const LIMIT_MS = {{limit}};
const SAMPLES = 60;
// A machine that is busy with other things must not decide: the best of some rounds counts.
const ROUNDS = 3;

describe({{title}}, () => {
  const app = useApp();

  test(`the 95th percentile of reading a page of any table stays below ${LIMIT_MS} ms`, async () => {
    const { rows } = await app.db.query<{ name: string }>(
      "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()",
    );
    const round = async (): Promise<number> => {
      const times: number[] = [];
      for (let n = 0; n < SAMPLES; n += 1) {
        const start = performance.now();
        await app.db.query(`SELECT * FROM "${rows[n % rows.length]?.name ?? "schema_migrations"}" LIMIT 100`);
        times.push(performance.now() - start);
      }
      return times.toSorted((a, b) => a - b)[Math.floor(SAMPLES * 0.95)] ?? 0;
    };
    let best = await round();
    for (let n = 1; n < ROUNDS && best >= LIMIT_MS; n += 1) {
      best = Math.min(best, await round());
    }
    assert.ok(best < LIMIT_MS, `p95 is ${best.toFixed(1)} ms`);
  });

  test("every foreign key is backed by an index", async () => {
    const { rows } = await app.db.query(
      `SELECT c.conrelid::regclass AS "table", a.attname AS "column"
       FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
       WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace
         AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])`,
    );
    assert.deepEqual(rows, []);
  });
});
