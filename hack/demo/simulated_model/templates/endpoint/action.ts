//#if guarded
import { forbidden, notFound } from "../../http/errors.ts";
import { currentUser, route } from "../../http/route.ts";
//#else
import { notFound } from "../../http/errors.ts";
import { route } from "../../http/route.ts";
//#end
import { parse } from "../../http/validate.ts";
import { columns, idParam, type Row } from "../../models/{{resource}}.ts";
{{parent_imports}}

/** {{title}} */
export default route({
  method: "{{method}}",
  path: "{{path}}",
  auth: {{auth}},
  handler: async (context) => {
    const id = parse(idParam, context.params.{{id_param}});
    {{parent_ids}}
    const found = await context.db.query<{ owner: unknown }>(
      `SELECT "{{owner}}" AS owner FROM "{{table}}" WHERE "{{key}}" = $1{{parent_conditions}}`,
      [id{{parent_params}}],
    );
    const [existing] = found.rows;
    if (!existing) {
      throw notFound("{{label}}");
    }
    //#if guarded
    if (String(existing.owner) !== currentUser(context)) {
      throw forbidden("Only {{owner_phrase}} may change this {{label_lower}}");
    }
    //#end
    //#if changes
    const { rows } = await context.db.query<Row>(
      `UPDATE "{{table}}" SET {{assignment}} WHERE "{{key}}" = $1 RETURNING ${columns}`,
      [id],
    );
    //#else
    const { rows } = await context.db.query<Row>(`SELECT ${columns} FROM "{{table}}" WHERE "{{key}}" = $1`, [id]);
    //#end
    return { status: 200, body: rows[0] };
  },
});
