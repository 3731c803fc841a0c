test("changes the {{label}}", async () => {
  const { row, token, body } = await prepare();
  const answer = await call(row.{{key}}, body, token);
  assert.equal(answer.status, 200);
  assert.partialDeepStrictEqual(answer.body, {{expected}});
  assert.equal(answer.body.{{key}}, row.{{key}});
});

//#if partial
test("changes one field alone", async () => {
  const { row, token, body } = await prepare();
  const answer = await call(row.{{key}}, { {{partial}}: body.{{partial}} }, token);
  assert.equal(answer.status, 200);
});

//#end
//#if updated
test("moves the time of the last change", async () => {
  const { row, token, body } = await prepare();
  const answer = await call(row.{{key}}, body, token);
  assert.ok(new Date(String(answer.body.{{updated}})) >= new Date(String(row.{{updated}})));
});

//#end
//#if password
test("replaces the password's hash", async () => {
  const { row, token } = await prepare();
  const answer = await call(row.{{key}}, { password: "another long password" }, token);
  assert.equal(answer.status, 200);
  const { rows } = await app.db.query<{ hash: string }>(
    `SELECT "{{password}}" AS hash FROM "{{table}}" WHERE "{{key}}" = $1`,
    [row.{{key}}],
  );
  assert.ok(await bcrypt.compare("another long password", rows[0]?.hash ?? ""));
  assert.doesNotMatch(JSON.stringify(answer.body), /password/);
});

//#end
test("answers 400 for an empty body", async () => {
  const { row, token } = await prepare();
  const answer = await call(row.{{key}}, {}, token);
  assert.equal(answer.status, 400);
  assert.equal(answer.errorCode, "validation_failed");
});

test("answers 400 for a field that clients do not set", async () => {
  const { row, token, body } = await prepare();
  const answer = await call(row.{{key}}, { ...body, surprise: 1 }, token);
  assert.equal(answer.status, 400);
});

//#if bad
const invalid: { field: string; why: string; value: unknown }[] = [
  {{bad}}
];
for (const { field, why, value } of invalid) {
  test(`answers 400 when ${field} is ${why}`, async () => {
    const { row, token } = await prepare();
    const answer = await call(row.{{key}}, { [field]: value }, token);
    assert.equal(answer.status, 400);
  });
}

//#end
//#if unique
test("answers 409 when another {{label}} has the value already", async () => {
  const { row, token } = await prepare();
  const other = await insertRow(app.db);
  const answer = await call(row.{{key}}, { {{unique}}: other.{{unique}} }, token);
  assert.equal(answer.status, 409);
});

//#end
test("answers 404 for an unknown id", async () => {
  const { token, body } = await prepare();
  const answer = await call({{unknown_id}}, body, token);
  assert.equal(answer.status, 404);
});

//#if malformed
test("answers 400 for a malformed id", async () => {
  const { token, body } = await prepare();
  const answer = await call("nonsense", body, token);
  assert.equal(answer.status, 400);
});

//#end
//#if guarded
test("answers 403 to somebody else", async () => {
  const { row, body } = await prepare();
  const answer = await call(row.{{key}}, body, tokenFor("00000000-0000-4000-8000-00000000beef"));
  assert.equal(answer.status, 403);
  assert.equal(answer.errorCode, "forbidden");
});

//#end
//#if auth
test("answers 401 without a token", async () => {
  const { row, body } = await prepare();
  const answer = await call(row.{{key}}, body);
  assert.equal(answer.status, 401);
});

//#end
