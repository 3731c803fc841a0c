test("returns the {{label}}", async () => {
  const { row, token } = await prepare();
  const answer = await call(row.{{key}}, token);
  assert.equal(answer.status, 200);
  assert.partialDeepStrictEqual(answer.body, JSON.parse(JSON.stringify(row)));
});

//#if password
test("never returns a password or its hash", async () => {
  const { row, token } = await prepare();
  const answer = await call(row.{{key}}, token);
  assert.doesNotMatch(JSON.stringify(answer.body), /password/);
});

//#end
//#if byid
test("answers 404 for an unknown id", async () => {
  const { token } = await prepare();
  const answer = await call({{unknown_id}}, token);
  assert.equal(answer.status, 404);
  assert.equal(answer.errorCode, "not_found");
});

//#end
//#if malformed
test("answers 400 for a malformed id", async () => {
  const { token } = await prepare();
  const answer = await call("nonsense", token);
  assert.equal(answer.status, 400);
});

//#end
//#if auth
test("answers 401 without a token", async () => {
  const { row } = await prepare();
  const answer = await call(row.{{key}});
  assert.equal(answer.status, 401);
});

//#end
