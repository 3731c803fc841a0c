//#if guarded
import { forbidden, notFound } from "../../http/errors.ts";
import { currentUser, route } from "../../http/route.ts";
//#else
import { notFound } from "../../http/errors.ts";
import { route } from "../../http/route.ts";
//#end
import { parse } from "../../http/validate.ts";
import { idParam } from "../../models/{{resource}}.ts";
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
      throw forbidden("Only {{owner_phrase}} may delete this {{label_lower}}");
    }
    //#end
    await context.db.query(`DELETE FROM "{{table}}" WHERE "{{key}}" = $1`, [id]);
    return { status: 204 };
  },
});
