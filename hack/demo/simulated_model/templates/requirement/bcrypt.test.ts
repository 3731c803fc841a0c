import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { useApp } from "../helpers/app.ts";

describe({{title}}, () => {
  const app = useApp();

  test("no source file stores a password with another hash", () => {
    for (const file of globSync("src/**/*.ts")) {
      const source = readFileSync(file, "utf8");
      assert.doesNotMatch(source, /createHash\(|md5|sha1/i, file);
      if (/INSERT INTO|insertInto\(/.test(source) && /password/.test(source)) {
        assert.match(source, /bcrypt\.hash\(/, file);
      }
    }
  });

  test("no column of any table is named like a plain password", async () => {
    const { rows } = await app.db.query(
      "SELECT table_name FROM information_schema.columns WHERE table_schema = current_schema() AND column_name = 'password'",
    );
    assert.equal(rows.length, 0);
  });
});
