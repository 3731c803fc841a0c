/** Settings of the service; the only module that reads the environment. */
export interface Config {
  readonly port: number;
  readonly databaseUrl: string;
  //#if jwt
  /** Key of the HS256 token signatures, at least 32 characters. */
  readonly jwtSecret: string;
  //#end
  /** Cost factor of bcrypt. */
  readonly bcryptRounds: number;
  /** Requests per minute and client address; 0 switches the limit off. */
  readonly rateLimitPerMinute: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

function integer(env: Environment, name: string, fallback: number): number {
  const raw = env[name] ?? "";
  const value = raw === "" ? fallback : Number(raw);
  if (!Number.isInteger(value) || value < 0) {
    throw new Error(`${name} must be a non-negative integer (found ${JSON.stringify(raw)})`);
  }
  return value;
}

function required(env: Environment, name: string, minimum: number): string {
  const value = env[name] ?? "";
  if (value.length < minimum) {
    throw new Error(`${name} must have at least ${minimum} characters`);
  }
  return value;
}

/** Read the settings; throws an Error that names the variable and the rule. */
export function loadConfig(env: Environment = process.env): Config {
  return {
    port: integer(env, "PORT", 3000),
    databaseUrl: required(env, "DATABASE_URL", 1),
    //#if jwt
    jwtSecret: required(env, "JWT_SECRET", 32),
    //#end
    bcryptRounds: integer(env, "BCRYPT_ROUNDS", 12),
    rateLimitPerMinute: integer(env, "RATE_LIMIT_PER_MINUTE", {{rate_limit}}),
  };
}
