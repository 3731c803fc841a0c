import { z } from "zod";
//#if text
import { notEmpty, pagination, text } from "../http/validate.ts";
//#else
import { notEmpty, pagination } from "../http/validate.ts";
//#end

/** A {{label}} as the API returns it. */
export type Row = {
  {{row}}
};

//#if links
/** The table's own part of a Row; never a password's hash. */
export const ownColumns = `
  {{columns}}
`;

/** What to select for a Row. */
export const columns = `${ownColumns},
  {{linked}}
`;
//#else
/** What to select for a Row; never a password's hash. */
export const columns = `
  {{columns}}
`;
//#end

export const idParam = {{id}};

export const createBody = z.strictObject({
  {{create}}
});

export const updateBody = z
  .strictObject({
    {{update}}
  })
  .refine(notEmpty, "at least one field must be given");

export const listQuery = pagination.extend({
  {{filters}}
});

{{links}}
