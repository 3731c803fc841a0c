// JUnit XML with one <testsuite> per test file and the file's path, relative to the project, on every case.
import { relative, sep } from "node:path";
import process from "node:process";

const OUTPUT_LIMIT = 8_000;

// XML 1.0 allows no control characters but tab and line ends.
// eslint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

function escape(text) {
  return String(text)
    .replace(FORBIDDEN, "")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("\n", "&#10;");
}

function projectPath(file) {
  return file ? relative(process.cwd(), file).split(sep).join("/") : "unknown";
}

function evidence(error) {
  const cause = error?.cause ?? error;
  return String(cause?.stack ?? cause?.message ?? cause).slice(0, OUTPUT_LIMIT);
}

function outcome(data, failed) {
  if (data.skip !== undefined || data.todo !== undefined) return "<skipped/>";
  if (!failed) return "";
  const error = data.details.error;
  return `<failure message="${escape(error?.cause?.message ?? error?.message)}">${escape(evidence(error))}</failure>`;
}

/** Collect leaf tests, and suites that failed for another reason than a failing test inside them. */
export default async function* junit(source) {
  const suites = new Map();
  const path = [];
  for await (const { type, data } of source) {
    if (type === "test:start") {
      path.length = data.nesting;
      path[data.nesting] = data.name;
    }
    if (type !== "test:pass" && type !== "test:fail") continue;
    const failed = type === "test:fail";
    const suite = data.details.type === "suite";
    if (suite && !(failed && data.details.error?.failureType !== "subtestsFailed")) continue;
    const file = projectPath(data.file);
    const name = [...path.slice(0, data.nesting), data.name].join(" > ");
    const seconds = (data.details.duration_ms / 1000).toFixed(6);
    const cases = suites.get(file) ?? suites.set(file, []).get(file);
    const skipped = data.skip !== undefined || data.todo !== undefined;
    cases.push({
      failed: failed && !skipped,
      skipped,
      xml: `<testcase name="${escape(name)}" classname="${escape(file)}" file="${escape(file)}" time="${seconds}">${outcome(data, failed)}</testcase>`,
    });
  }
  yield '<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n';
  for (const [file, cases] of suites) {
    const failures = cases.filter((entry) => entry.failed).length;
    const skipped = cases.filter((entry) => entry.skipped).length;
    yield `<testsuite name="${escape(file)}" file="${escape(file)}" tests="${cases.length}" failures="${failures}" skipped="${skipped}">\n`;
    for (const entry of cases) yield `${entry.xml}\n`;
    yield "</testsuite>\n";
  }
  yield "</testsuites>\n";
}
