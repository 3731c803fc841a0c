export interface ErrorDetail {
  readonly path: string;
  readonly message: string;
}

/** An error that the client is told about: status, stable code, message. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: readonly ErrorDetail[] | undefined;

  constructor(status: number, code: string, message: string, details?: readonly ErrorDetail[]) {
    super(message);
    this.name = "HttpError";
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

export function badRequest(message: string, details?: readonly ErrorDetail[]): HttpError {
  return new HttpError(400, "validation_failed", message, details);
}

export function unauthorized(message: string): HttpError {
  return new HttpError(401, "unauthorized", message);
}

export function forbidden(message: string): HttpError {
  return new HttpError(403, "forbidden", message);
}

export function notFound(what: string): HttpError {
  return new HttpError(404, "not_found", `${what} not found`);
}

export function conflict(message: string): HttpError {
  return new HttpError(409, "conflict", message);
}

function fromDatabase(code: string, detail: string): HttpError | undefined {
  switch (code) {
    case "23505":
      return conflict("A record with this value exists already");
    case "23503":
      return detail.includes("still referenced")
        ? conflict("The record is still in use")
        : badRequest("The request refers to a record that does not exist");
    case "22P02":
    case "22003":
    case "22007":
    case "22008":
    case "23502":
    case "23514":
      return badRequest("A value does not fit its field");
    default:
      return undefined;
  }
}

function fromBodyParser(error: { status?: unknown; type?: unknown }): HttpError | undefined {
  if (error.type === "entity.too.large") {
    return new HttpError(413, "payload_too_large", "The request body is too large");
  }
  return typeof error.status === "number" && error.status >= 400 && error.status < 500
    ? badRequest("The request could not be read")
    : undefined;
}

/** Decide what the client learns of any error; unknown ones become a plain 500. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) {
    return error;
  }
  const known = error as { code?: unknown; detail?: unknown; status?: unknown; type?: unknown } | null;
  const mapped =
    fromDatabase(String(known?.code ?? ""), String(known?.detail ?? "")) ?? fromBodyParser(known ?? {});
  return mapped ?? new HttpError(500, "internal_error", "Internal server error");
}
