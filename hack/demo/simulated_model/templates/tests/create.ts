test("creates a {{label}}", async () => {
  const { body, token } = await prepare();
  const answer = await call(body, token);
  assert.equal(answer.status, 201);
  assert.ok(answer.body.{{key}});
  assert.partialDeepStrictEqual(answer.body, {{expected}});
  assert.equal(await stored(), before + 1);
});

//#if optional
test("creates a {{label}} from the required fields alone", async () => {
  const { required, token } = await prepare();
  const answer = await call(required, token);
  assert.equal(answer.status, 201);
});

//#end
//#if owner
test("makes the caller the owner", async () => {
  const { body, token, userId } = await prepare();
  const answer = await call(body, token);
  assert.equal(answer.body.{{owner}}, userId);
});

test("answers 400 when the body names an owner", async () => {
  const { body, token, userId } = await prepare();
  const answer = await call({ ...body, {{owner}}: userId }, token);
  assert.equal(answer.status, 400);
});

//#end
//#if password
test("stores a bcrypt hash and never returns it", async () => {
  const { body, token } = await prepare();
  const answer = await call(body, token);
  const { rows } = await app.db.query<{ hash: string }>(
    `SELECT "{{password}}" AS hash FROM "{{table}}" WHERE "{{key}}" = $1`,
    [answer.body.{{key}}],
  );
  assert.ok(await bcrypt.compare(String(body.password), rows[0]?.hash ?? ""));
  assert.doesNotMatch(JSON.stringify(answer.body), /password/);
});

//#end
//#if login
test("lets the new account log in", async () => {
  const { body, token } = await prepare();
  await call(body, token);
  const credentials = { {{identifier}}: body.{{identifier}}, password: body.password };
  const answer = await app.call("POST", "/api/auth/login", { body: credentials });
  assert.equal(answer.status, 200);
  assert.equal(typeof answer.body.token, "string");
  const wrong = await app.call("POST", "/api/auth/login", { body: { ...credentials, password: "not this one" } });
  assert.equal(wrong.status, 401);
});

//#end
//#if required
for (const name of [{{required_names}}]) {
  test(`answers 400 without ${name}`, async () => {
    const { body, token } = await prepare();
    const answer = await call({ ...body, [name]: undefined }, token);
    assert.equal(answer.status, 400);
    assert.equal(answer.errorCode, "validation_failed");
    assert.equal(await stored(), before);
  });
}

//#end
//#if bad
const invalid: { field: string; why: string; value: unknown }[] = [
  {{bad}}
];
for (const { field, why, value } of invalid) {
  test(`answers 400 when ${field} is ${why}`, async () => {
    const { body, token } = await prepare();
    const answer = await call({ ...body, [field]: value }, token);
    assert.equal(answer.status, 400);
  });
}

//#end
test("answers 400 for an unknown field", async () => {
  const { body, token } = await prepare();
  const answer = await call({ ...body, surprise: true }, token);
  assert.equal(answer.status, 400);
});

//#if markup
test("removes markup from text", async () => {
  const { body, token } = await prepare();
  const answer = await call({ ...body, {{markup}}: `<script>${String(body.{{markup}})}</script>` }, token);
  assert.equal(answer.status, 201);
  assert.doesNotMatch(JSON.stringify(answer.body), /<script>/);
});

//#end
//#if unique
test("answers 409 for a duplicate", async () => {
  const { body, token } = await prepare();
  await call(body, token);
  const answer = await call(body, token);
  assert.equal(answer.status, 409);
  assert.equal(answer.errorCode, "conflict");
});

//#end
//#if references
for (const name of [{{reference_names}}]) {
  test(`answers 400 when ${name} refers to nothing`, async () => {
    const { body, token } = await prepare();
    const answer = await call({ ...body, [name]: {{missing_reference}} }, token);
    assert.equal(answer.status, 400);
  });
}

//#end
//#if auth
test("answers 401 without a token", async () => {
  const { body } = await prepare();
  const answer = await call(body);
  assert.equal(answer.status, 401);
  assert.equal(await stored(), before);
});

//#end
