import assert from "node:assert/strict";
import { {{node_test}} } from "node:test";
//#if bcrypt
import bcrypt from "bcryptjs";
//#end
{{imports}}
import { {{helpers}} } from "../../helpers/app.ts";

describe({{title}}, () => {
  const app = useApp();

  {{setup}}

  {{cases}}
});
