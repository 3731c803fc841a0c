import { notFound } from "../../http/errors.ts";
//#if me
import { currentUser, route } from "../../http/route.ts";
//#else
import { route } from "../../http/route.ts";
import { parse } from "../../http/validate.ts";
//#end
//#if me
import { columns, type Row } from "../../models/{{resource}}.ts";
//#else
import { columns, idParam, type Row } from "../../models/{{resource}}.ts";
//#end
{{parent_imports}}

/** {{title}} */
export default route({
  method: "{{method}}",
  path: "{{path}}",
  auth: {{auth}},
  handler: async (context) => {
    {{id}}
    {{parent_ids}}
    const { rows } = await context.db.query<Row>(
      `SELECT ${columns} FROM "{{table}}" WHERE "{{key}}" = $1{{parent_conditions}}`,
      [id{{parent_params}}],
    );
    const [row] = rows;
    if (!row) {
      throw notFound("{{label}}");
    }
    return { status: 200, body: row };
  },
});
