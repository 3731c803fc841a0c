//#if password
import bcrypt from "bcryptjs";
//#end
import type { Database } from "../../src/db/pool.ts";
import { insertInto } from "../../src/db/sql.ts";
//#if links
import { ownColumns as columns, type Row as WholeRow } from "../../src/models/{{resource}}.ts";
//#else
import { columns, type Row } from "../../src/models/{{resource}}.ts";
//#end
{{imports}}

//#if links
/** The linked rows are left to the tests. */
type Row = Omit<WholeRow, {{omitted}}>;

//#end
//#if password
/** The password of every account that `insertRow` makes. */
export const password = {{password}};

//#end
//#if counted
let count = 0;

//#end
/** Insert a valid {{label}}, and what it refers to; `values` replace single columns. */
export async function insertRow(db: Database, values: Readonly<Record<string, unknown>> = {}): Promise<Row> {
  //#if counted
  count += 1;
  //#end
  const defaults = {
    {{values}}
  };
  const statement = insertInto("{{table}}", { ...defaults, ...values });
  const { rows } = await db.query<Row>(`${statement.text} RETURNING ${columns}`, statement.values);
  const [row] = rows;
  if (!row) throw new Error("nothing was inserted");
  return row;
}
