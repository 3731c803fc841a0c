test("deletes the {{label}}", async () => {
  const { row, token } = await prepare();
  const before = await stored();
  const answer = await call(row.{{key}}, token);
  assert.equal(answer.status, 204);
  assert.deepEqual(answer.body, {});
  assert.equal(await stored(), before - 1);
});

test("answers 404 the second time", async () => {
  const { row, token } = await prepare();
  await call(row.{{key}}, token);
  const answer = await call(row.{{key}}, token);
  assert.equal(answer.status, 404);
  assert.equal(answer.errorCode, "not_found");
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
  const before = await stored();
  const answer = await call(row.{{key}}, tokenFor("00000000-0000-4000-8000-00000000beef"));
  assert.equal(answer.status, 403);
  assert.equal(await stored(), before);
});

//#end
//#if auth
test("answers 401 without a token", async () => {
  const { row } = await prepare();
  const answer = await call(row.{{key}});
  assert.equal(answer.status, 401);
});

//#end
