import bcrypt from "bcryptjs";
import { z } from "zod";
import { signToken } from "{{up}}http/auth.ts";
import { unauthorized } from "{{up}}http/errors.ts";
import { route } from "{{up}}http/route.ts";
import { parse } from "{{up}}http/validate.ts";

const credentials = z.strictObject({ {{identifier}}: {{schema}}, password: z.string().min(1).max(200) });

// Compared with when no account matches, so that the time taken does not tell whether one exists.
const NOBODY = "$2b$12$invalidinvalidinvalidinvalidinvalidinvalidinvalidinva";

/** {{title}} */
export default route({
  method: "{{method}}",
  path: "{{path}}",
  auth: false,
  handler: async ({ db, config, body }) => {
    const input = parse(credentials, body);
    const { rows } = await db.query<{ id: string; hash: string }>(
      `SELECT "{{key}}" AS id, "{{password}}" AS hash FROM "{{table}}" WHERE "{{identifier}}" = $1`,
      [input.{{identifier}}],
    );
    const [account] = rows;
    const matches = await bcrypt.compare(input.password, account?.hash ?? NOBODY);
    if (!account || !matches) {
      throw unauthorized("Wrong {{identifier}} or password");
    }
    return { status: 200, body: { token: signToken(String(account.id), config) } };
  },
});
