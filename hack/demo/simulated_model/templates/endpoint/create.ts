//#if password
import bcrypt from "bcryptjs";
//#end
//#if links
import { replaceLinks } from "../../db/links.ts";
import { transaction } from "../../db/pool.ts";
//#end
import { insertInto } from "../../db/sql.ts";
//#if parents
import { notFound } from "../../http/errors.ts";
//#end
//#if owner
import { currentUser, route } from "../../http/route.ts";
//#else
import { route } from "../../http/route.ts";
//#end
import { parse } from "../../http/validate.ts";
import { columns, createBody{{link_imports}}, type Row } from "../../models/{{resource}}.ts";
{{parent_imports}}

/** {{title}} */
export default route({
  method: "{{method}}",
  path: "{{path}}",
  auth: {{auth}},
  handler: async (context) => {
    {{parents}}
    //#if parents
    const { {{taken}}...fields } = parse(createBody, { ...(context.body as object | undefined), {{parent_values}} });
    //#else
    const { {{taken}}...fields } = parse(createBody, context.body);
    //#end
    //#if password
    const hash = await bcrypt.hash(password, context.config.bcryptRounds);
    //#end
    const values = { ...fields{{extra}} };
    const statement = insertInto("{{table}}", values);
    //#if links
    const row = await transaction(context.db, async (db) => {
      const created = await db.query<{ id: string }>(`${statement.text} RETURNING "{{key}}" AS id`, statement.values);
      const id = created.rows[0]?.id;
      {{replace_links}}
      const { rows } = await db.query<Row>(`SELECT ${columns} FROM "{{table}}" WHERE "{{key}}" = $1`, [id]);
      return rows[0];
    });
    return { status: 201, body: row };
    //#else
    const { rows } = await context.db.query<Row>(`${statement.text} RETURNING ${columns}`, statement.values);
    return { status: 201, body: rows[0] };
    //#end
  },
});
