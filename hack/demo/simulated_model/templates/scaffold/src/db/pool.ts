import pg, { type PoolClient } from "pg";

export type Pool = pg.Pool;

/** Whatever runs a query: the pool, or a client inside a transaction. */
export type Database = Pick<PoolClient, "query">;

const { builtins } = pg.types;

export interface PoolOptions {
  /** Schema that unqualified names resolve to. */
  readonly schema?: string;
  readonly max?: number;
}

function types(): pg.CustomTypesConfig {
  const parsers = new Map<number, (value: string) => unknown>([
    [builtins.DATE, String],
    [builtins.INT8, Number],
    [builtins.NUMERIC, Number],
  ]);
  return {
    getTypeParser: ((id: number, format: "text") => parsers.get(id) ?? pg.types.getTypeParser(id, format)) as typeof pg.types.getTypeParser,
  };
}

/** Open a pool. Dates stay `YYYY-MM-DD` strings, bigint and numeric become numbers. */
export function createPool(databaseUrl: string, { schema, max = 10 }: PoolOptions = {}): Pool {
  return new pg.Pool({
    connectionString: databaseUrl,
    max,
    types: types(),
    statement_timeout: 10_000,
    ...(schema && { options: `-c search_path=${schema}` }),
  });
}

/** Run `work` in one transaction: committed when it returns, rolled back when it throws. */
export async function transaction<T>(pool: Pool, work: (db: Database) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const result = await work(client);
    await client.query("COMMIT");
    return result;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}
