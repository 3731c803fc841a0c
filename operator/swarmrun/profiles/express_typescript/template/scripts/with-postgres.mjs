// Run a command with DATABASE_URL: the one of the environment, or a temporary PostgreSQL server.
//
//   node scripts/with-postgres.mjs <command> [arguments…]
//
// The temporary server is a real one, with its data in a private folder, reachable by a unix socket
// only, and without fsync: it lives for one command. It is always stopped and its folder removed.
// PGDATA_TEMPLATE names a folder that initdb has filled with these very options; copying it is faster.
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";

const START_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const NOBODY = 65_534;

/** Find the folder with initdb and postgres: PATH first, then Debian's, newest version first. */
function serverBinaries() {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...(process.env.PATH ?? "").split(delimiter).filter(Boolean),
    ...versions.map((version) => join(debian, version, "bin")),
  ];
  const found = folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));
  if (!found) {
    throw new Error("no PostgreSQL server found: install PostgreSQL (initdb, postgres) or set DATABASE_URL");
  }
  return found;
}

/** PostgreSQL refuses to run as root; give root's server to an unprivileged user. */
function owner(folder) {
  if (process.getuid?.() !== 0) return {};
  chownSync(folder, NOBODY, NOBODY);
  return { uid: NOBODY, gid: NOBODY };
}

function initialise(bin, data, user) {
  const template = process.env.PGDATA_TEMPLATE;
  if (template && existsSync(template) && user.uid === undefined) {
    cpSync(template, data, { recursive: true });
    chmodSync(data, 0o700);
    return;
  }
  const args = ["-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--wal-segsize=1"];
  const options = [...args, "--no-sync", "--no-instructions"];
  const result = spawnSync(join(bin, "initdb"), options, { ...user, cwd: "/", encoding: "utf8" });
  if (result.status !== 0) {
    throw new Error(`initdb failed (exit ${result.status}): ${result.error ?? result.stderr}`);
  }
}

function launch(bin, folder, data, user) {
  const settings = {
    listen_addresses: "",
    unix_socket_directories: folder,
    fsync: "off",
    synchronous_commit: "off",
    full_page_writes: "off",
    autovacuum: "off",
    max_connections: "200",
    shared_buffers: "32MB",
    dynamic_shared_memory_type: "mmap",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return spawn(join(bin, "postgres"), ["-D", data, ...args], { ...user, cwd: "/", stdio: ["ignore", "ignore", "pipe"] });
}

/** Wait until the server's lock file says "ready"; it is the only sign that needs no client. */
async function untilReady(server, data) {
  let log = "";
  server.stderr.on("data", (chunk) => {
    log = (log + chunk).slice(-4000);
  });
  const deadline = Date.now() + START_TIMEOUT_MS;
  const lock = join(data, "postmaster.pid");
  while (Date.now() < deadline && server.exitCode === null) {
    if (existsSync(lock) && readFileSync(lock, "utf8").split("\n")[7]?.trim() === "ready") return;
    await delay(POLL_MS);
  }
  throw new Error(`PostgreSQL did not start:\n${log}`);
}

/** Immediate shutdown: nothing of this server is worth a checkpoint. */
async function stop(server, folder) {
  if (server && server.exitCode === null && server.signalCode === null) {
    const gone = new Promise((resolve) => server.once("exit", resolve));
    server.kill("SIGQUIT");
    await gone;
  }
  if (folder) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

function run(command, env) {
  const child = spawn(command[0], command.slice(1), { stdio: "inherit", env });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(signal ? 1 : (code ?? 1)));
  });
}

async function main(command) {
  if (command.length === 0) throw new Error("usage: node scripts/with-postgres.mjs <command> [arguments…]");
  if (process.env.DATABASE_URL) return run(command, process.env);
  const bin = serverBinaries();
  const folder = mkdtempSync(join(tmpdir(), "pg-"));
  let server;
  try {
    const user = owner(folder);
    const data = join(folder, "data");
    initialise(bin, data, user);
    server = launch(bin, folder, data, user);
    await untilReady(server, data);
    const url = `postgresql://postgres@localhost/postgres?host=${encodeURIComponent(folder)}`;
    return await run(command, { ...process.env, DATABASE_URL: url });
  } finally {
    await stop(server, folder);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
