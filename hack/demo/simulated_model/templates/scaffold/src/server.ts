import { createApp } from "./app.ts";
import { loadConfig } from "./config.ts";
import { migrate } from "./db/migrate.ts";
import { createPool } from "./db/pool.ts";

const config = loadConfig();
const db = createPool(config.databaseUrl);
await migrate(db);
const app = await createApp({ db, config });
const server = app.listen(config.port, () => {
  console.log(`{{project}} listens on port ${config.port}`);
});

function stop(): void {
  server.close(() => void db.end());
}

process.once("SIGTERM", stop);
process.once("SIGINT", stop);
