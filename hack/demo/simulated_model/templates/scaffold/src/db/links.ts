import type { Database } from "./pool.ts";
import { quote } from "./sql.ts";

/** A join table of a many-to-many relation, seen from one side. */
export interface Link {
  readonly table: string;
  readonly own: string;
  readonly other: string;
}

/** Make `others` the exact set that is linked to `id`; an unknown id fails by its foreign key. */
export async function replaceLinks(db: Database, link: Link, id: unknown, others: readonly unknown[]): Promise<void> {
  const [table, own, other] = [quote(link.table), quote(link.own), quote(link.other)];
  await db.query(`DELETE FROM ${table} WHERE ${own} = $1`, [id]);
  for (const otherId of new Set(others)) {
    await db.query(`INSERT INTO ${table} (${own}, ${other}) VALUES ($1, $2)`, [id, otherId]);
  }
}
