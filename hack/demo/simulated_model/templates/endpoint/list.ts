import { whereClause } from "../../db/sql.ts";
//#if parents
import { notFound } from "../../http/errors.ts";
//#end
import { route } from "../../http/route.ts";
import { parse } from "../../http/validate.ts";
import { columns, listQuery, type Row } from "../../models/{{resource}}.ts";
{{parent_imports}}

/** {{title}} */
export default route({
  method: "{{method}}",
  path: "{{path}}",
  auth: {{auth}},
  handler: async (context) => {
    {{parents}}
    const { limit, offset, ...filters } = parse(listQuery, context.query);
    //#if parents
    const where = whereClause({ ...filters, {{parent_values}} });
    //#else
    const where = whereClause(filters);
    //#end
    const counted = await context.db.query<{ total: number }>(
      `SELECT count(*) AS total FROM "{{table}}" ${where.text}`,
      where.values,
    );
    const last = where.values.length;
    const { rows } = await context.db.query<Row>(
      `SELECT ${columns} FROM "{{table}}" ${where.text} ORDER BY {{order}} LIMIT $${last + 1} OFFSET $${last + 2}`,
      [...where.values, limit, offset],
    );
    return { status: 200, body: { data: rows, total: counted.rows[0]?.total ?? 0, limit, offset } };
  },
});
