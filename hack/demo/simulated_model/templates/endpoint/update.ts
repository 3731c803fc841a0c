//#if password
import bcrypt from "bcryptjs";
//#end
//#if links
import { replaceLinks } from "../../db/links.ts";
import { transaction } from "../../db/pool.ts";
//#end
import { setClause } from "../../db/sql.ts";
//#if guarded
import { forbidden, notFound } from "../../http/errors.ts";
import { currentUser, route } from "../../http/route.ts";
//#else
import { notFound } from "../../http/errors.ts";
import { route } from "../../http/route.ts";
//#end
import { parse } from "../../http/validate.ts";
import { columns, idParam{{link_imports}}, type Row, updateBody } from "../../models/{{resource}}.ts";
{{parent_imports}}

/** {{title}} */
export default route({
  method: "{{method}}",
  path: "{{path}}",
  auth: {{auth}},
  handler: async (context) => {
    const id = parse(idParam, context.params.{{id_param}});
    {{parent_ids}}
    const { {{taken}}...fields } = parse(updateBody, context.body);
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
    //#if password
    const hash = password === undefined ? {} : { {{password}}: await bcrypt.hash(password, context.config.bcryptRounds) };
    //#end
    const set = setClause({ ...fields{{extra}} }, 2);
    //#if links
    const row = await transaction(context.db, async (db) => {
      if (set.text !== "") {
        await db.query(`UPDATE "{{table}}" SET ${set.text} WHERE "{{key}}" = $1`, [id, ...set.values]);
      }
      {{replace_links}}
      const { rows } = await db.query<Row>(`SELECT ${columns} FROM "{{table}}" WHERE "{{key}}" = $1`, [id]);
      return rows[0];
    });
    return { status: 200, body: row };
    //#else
    const { rows } = await context.db.query<Row>(
      `UPDATE "{{table}}" SET ${set.text} WHERE "{{key}}" = $1 RETURNING ${columns}`,
      [id, ...set.values],
    );
    return { status: 200, body: rows[0] };
    //#end
  },
});
