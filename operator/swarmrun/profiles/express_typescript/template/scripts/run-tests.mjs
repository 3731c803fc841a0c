// Run test files in one process and leave reports/junit.xml (and, with --coverage, reports/lcov.info).
//
//   node scripts/run-tests.mjs [--coverage] [test files…]      default: every tests/**/*.test.ts
//
// One process, because starting Node once per file costs more than the tests themselves; each file
// isolates itself by a database schema of its own (tests/helpers/app.ts).
import { createWriteStream, existsSync, globSync, mkdirSync, rmSync } from "node:fs";
import process from "node:process";
import { finished } from "node:stream/promises";
import { run } from "node:test";
import { lcov, spec } from "node:test/reporters";
import junit from "./junit-reporter.mjs";

const TEST_TIMEOUT_MS = 30_000;

/** Keep the order of names stable: a failure that depends on order must repeat. */
function testFiles(named) {
  const missing = named.filter((file) => !existsSync(file));
  if (missing.length > 0) throw new Error(`no such test file: ${missing.join(", ")}`);
  return [...new Set(named.length > 0 ? named : globSync("tests/**/*.test.ts"))].toSorted();
}

async function main(args) {
  const coverage = args.includes("--coverage");
  const files = testFiles(args.filter((arg) => !arg.startsWith("--")));
  mkdirSync("reports", { recursive: true });
  rmSync("reports/lcov.info", { force: true });
  process.env.NODE_ENV = "test";
  let failures = 0;
  const events = run({
    files,
    isolation: "none",
    concurrency: false,
    timeout: TEST_TIMEOUT_MS,
    coverage,
    coverageIncludeGlobs: ["src/**/*.ts"],
    coverageExcludeGlobs: ["src/server.ts"],
  });
  events.on("test:fail", () => {
    failures += 1;
  });
  const outputs = [
    events.compose(spec).pipe(process.stdout),
    events.compose(junit).pipe(createWriteStream("reports/junit.xml")),
    ...(coverage ? [events.compose(lcov).pipe(createWriteStream("reports/lcov.info"))] : []),
  ];
  await Promise.all(outputs.filter((stream) => stream !== process.stdout).map((stream) => finished(stream)));
  return failures > 0 ? 1 : 0;
}

// A server or timer that a test forgot must not keep the gate waiting.
try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`${error.stack ?? error}\n`);
  process.exit(1);
}
