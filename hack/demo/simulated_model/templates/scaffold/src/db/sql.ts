const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

export interface Fragment {
  readonly text: string;
  readonly values: unknown[];
}

/** Quote a column name; refuses all that is not a plain name. */
export function quote(name: string): string {
  if (!IDENTIFIER.test(name)) {
    throw new Error(`not a column name: ${JSON.stringify(name)}`);
  }
  return `"${name}"`;
}

/** `INSERT INTO "t" ("a", "b") VALUES ($1, $2)`; append RETURNING as needed. */
export function insertInto(table: string, values: Readonly<Record<string, unknown>>): Fragment {
  const names = Object.keys(values);
  const parameters = names.map((_, index) => `$${index + 1}`).join(", ");
  const tail = names.length > 0 ? `(${names.map(quote).join(", ")}) VALUES (${parameters})` : "DEFAULT VALUES";
  return { text: `INSERT INTO ${quote(table)} ${tail}`, values: Object.values(values) };
}

/** `"a" = $2, "b" = $3` for an UPDATE whose first own parameter is number `first`. */
export function setClause(values: Readonly<Record<string, unknown>>, first: number): Fragment {
  const names = Object.keys(values);
  return {
    text: names.map((name, index) => `${quote(name)} = $${first + index}`).join(", "),
    values: Object.values(values),
  };
}

/** `WHERE "a" = $1 AND …` from the filters that are set, or an empty text. */
export function whereClause(filters: Readonly<Record<string, unknown>>): Fragment {
  const set = Object.entries(filters).filter(([, value]) => value !== undefined);
  const terms = set.map(([name], index) => `${quote(name)} = $${index + 1}`);
  return { text: terms.length > 0 ? `WHERE ${terms.join(" AND ")}` : "", values: set.map(([, value]) => value) };
}
