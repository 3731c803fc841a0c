test("answers with the {{label}}", async () => {
  const { row, token } = await prepare();
  const answer = await call(row.{{key}}, token);
  assert.equal(answer.status, 200);
  assert.equal(answer.body.{{key}}, row.{{key}});
});

test("answers 404 for an unknown id", async () => {
  const { token } = await prepare();
  const answer = await call({{unknown_id}}, token);
  assert.equal(answer.status, 404);
});

//#if malformed
test("answers 400 for a malformed id", async () => {
  const { token } = await prepare();
  const answer = await call("nonsense", token);
  assert.equal(answer.status, 400);
});

//#end
//#if guarded
test("answers 403 to somebody else", async () => {
  const { row } = await prepare();
  const answer = await call(row.{{key}}, tokenFor("00000000-0000-4000-8000-00000000beef"));
  assert.equal(answer.status, 403);
});

//#end
//#if auth
test("answers 401 without a token", async () => {
  const { row } = await prepare();
  const answer = await call(row.{{key}});
  assert.equal(answer.status, 401);
});

//#end
