import assert from "node:assert/strict";
import { describe, test } from "node:test";
import jwt from "jsonwebtoken";
import { signToken } from "../../src/http/auth.ts";
import { JWT_SECRET, useApp } from "../helpers/app.ts";

describe({{title}}, () => {
  const app = useApp();

  test("the service's tokens expire after {{seconds}} seconds", () => {
    const token = signToken("someone", app.config);
    const claims = jwt.verify(token, JWT_SECRET, { algorithms: ["HS256"] }) as { iat: number; exp: number; sub: string };
    assert.equal(claims.exp - claims.iat, {{seconds}});
    assert.equal(claims.sub, "someone");
  });
});
