import { route } from "../http/route.ts";

/** 200 when the database answers. */
export default route({
  method: "get",
  path: "/health",
  auth: false,
  handler: async ({ db }) => {
    await db.query("SELECT 1");
    return { status: 200, body: { status: "ok" } };
  },
});
