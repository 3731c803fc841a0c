import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { createPool, type Pool, transaction } from "./pool.ts";

const FOLDER = join(import.meta.dirname, "..", "..", "migrations");
// Any fixed number: two servers that start at once must not migrate at once.
const LOCK = 7_241_901;

/** Apply the migrations that are still missing, in the order of their names; give those applied. */
export async function migrate(pool: Pool, folder: string = FOLDER): Promise<string[]> {
  return transaction(pool, async (db) => {
    await db.query("SELECT pg_advisory_xact_lock($1)", [LOCK]);
    await db.query(
      "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
    );
    const { rows } = await db.query<{ name: string }>("SELECT name FROM schema_migrations");
    const done = new Set(rows.map(({ name }) => name));
    const files = globSync("*.sql", { cwd: folder }).toSorted();
    const missing = files.filter((file) => !done.has(basename(file)));
    for (const file of missing) {
      await db.query(readFileSync(join(folder, file), "utf8"));
      await db.query("INSERT INTO schema_migrations (name) VALUES ($1)", [basename(file)]);
    }
    return missing;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const pool = createPool(process.env["DATABASE_URL"] ?? "");
  const applied = await migrate(pool);
  console.log(applied.length > 0 ? `applied ${applied.join(", ")}` : "nothing to apply");
  await pool.end();
}
