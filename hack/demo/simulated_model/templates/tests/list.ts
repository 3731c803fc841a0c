test("lists what there is, with the total", async () => {
  const { row, token } = await prepare();
  const answer = await call("", token);
  assert.equal(answer.status, 200);
  const data = answer.body.data as Record<string, unknown>[];
  assert.ok(data.some((entry) => entry.{{key}} === row.{{key}}));
  assert.equal(answer.body.limit, 20);
  assert.equal(answer.body.offset, 0);
});

test("returns pages", async () => {
  const { row, token } = await prepare();
  await insertRow(app.db{{same_parent}});
  const all = await call("?limit=100", token);
  const first = await call("?limit=1", token);
  const second = await call("?limit=1&offset=1", token);
  const total = (all.body.data as unknown[]).length;
  assert.ok(total >= 2);
  assert.equal(first.body.total, total);
  assert.equal((first.body.data as unknown[]).length, 1);
  assert.notDeepEqual(first.body.data, second.body.data);
  assert.ok(row);
});

//#if password
test("never returns a password or its hash", async () => {
  const { token } = await prepare();
  const answer = await call("", token);
  assert.doesNotMatch(JSON.stringify(answer.body), /password/);
});

//#end
//#if filtered
for (const name of [{{filter_names}}]) {
  test(`filters by ${name}`, async () => {
    const { row, token } = await prepare();
    const answer = await call(`?limit=100&${name}=${encodeURIComponent(String(row[name as keyof typeof row]))}`, token);
    const data = answer.body.data as Record<string, unknown>[];
    assert.ok(data.length > 0);
    assert.ok(data.every((entry) => entry[name] === row[name as keyof typeof row]));
  });
}

//#end
for (const query of ["?limit=0", "?limit=101", "?limit=many", "?offset=-1"]) {
  test(`answers 400 for ${query}`, async () => {
    const { token } = await prepare();
    const answer = await call(query, token);
    assert.equal(answer.status, 400);
  });
}

//#if parents
test("answers 404 for an unknown parent", async () => {
  const { token } = await prepare();
  {{lose_parent}}
  const answer = await call("", token);
  assert.equal(answer.status, 404);
});

//#end
//#if auth
test("answers 401 without a token", async () => {
  await prepare();
  const answer = await call("");
  assert.equal(answer.status, 401);
});

//#end
