import { z } from "zod";
import { badRequest } from "./errors.ts";

// Control characters but tab and line ends; they serve attacks on terminals and logs only.
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;
const TAG = /<\/?[a-z!][^>]*>/gi;

/** Remove markup and control characters, then surrounding space. */
export function sanitize(value: string): string {
  return value.replaceAll(CONTROL, "").replaceAll(TAG, "").trim();
}

/** A sanitized string of `minimum` to `maximum` characters. */
export function text(minimum: number, maximum: number): z.ZodType<string, string> {
  return z.string().transform(sanitize).pipe(z.string().min(minimum).max(maximum));
}

/** Query parameters that every list understands. */
export const pagination = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  offset: z.coerce.number().int().min(0).max(1_000_000).default(0),
});

/** At least one property must be there, whatever it is. */
export function notEmpty(value: object): boolean {
  return Object.keys(value).length > 0;
}

/** Parse client input; fails with 400 and one detail for each fault. */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) {
    return result.data;
  }
  const details = result.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  throw badRequest("The request is not valid", details);
}
