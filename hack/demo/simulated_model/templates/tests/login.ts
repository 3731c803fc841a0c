test("exchanges credentials for a token", async () => {
  const account = await insertRow(app.db);
  const answer = await call({ {{identifier}}: account.{{identifier}}, password });
  assert.equal(answer.status, 200);
  assert.equal(typeof answer.body.token, "string");
});

test("answers 401 for a wrong password and for an unknown account", async () => {
  const account = await insertRow(app.db);
  const wrong = await call({ {{identifier}}: account.{{identifier}}, password: "not this one" });
  assert.equal(wrong.status, 401);
  const unknown = await call({ {{identifier}}: "nobody@example.com", password });
  assert.equal(unknown.status, 401);
});

test("answers 400 for a missing or unknown field", async () => {
  assert.equal((await call({ password })).status, 400);
  assert.equal((await call({ {{identifier}}: "nobody@example.com", password, surprise: 1 })).status, 400);
});
