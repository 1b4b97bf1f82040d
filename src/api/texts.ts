/** Parts of the API's shapes: texts, paths, digests and contents as callers write them. */
import { z } from 'zod';
import { isSlipwayError } from '../base/errors.ts';
import { faultOfHost } from '../model/egress.ts';
import { parseRelativePath } from '../model/paths.ts';
import { portSchema } from '../model/run-schema.ts';

/** Text that can be handed to a program: valid Unicode (it becomes UTF-8) without NUL. */
export const programText = z.string().refine((text) => text.isWellFormed() && !text.includes('\0'), {
  error: 'must be valid Unicode without NUL',
});

const wellFormedText = z.string().refine((text) => text.isWellFormed(), { error: 'must be valid Unicode' });

export const digestText = z.templateLiteral(['sha256:', z.string().regex(/^[0-9a-f]{64}$/)]);

/** A relative path such as `data/2024.csv` (model/paths.ts). */
export const pathText = z
  .string()
  .max(1024)
  .superRefine((value, context) => {
    try {
      parseRelativePath(value, 'file');
    } catch (error) {
      if (!isSlipwayError(error)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
  })
  .describe('A relative path such as data/2024.csv.');

const hostText = z
  .string()
  .max(255)
  .superRefine((value, context) => {
    const message = faultOfHost(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  })
  .describe('A name, `*.` and a name for all below it, or an IP address.');

/** A host that a run asks to reach. */
export const egressTargetSchema = z.strictObject({ host: hostText, port: portSchema });

const base64Text = z
  .string()
  .refine((text) => text.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(text.replace(/={1,2}$/, '')), {
    error: 'must be base64 with padding (RFC 4648, section 4)',
  });

/** The fields of a content: exactly one of them is given. */
const contentFields = {
  text: wellFormedText.optional().describe('The content as text, stored as UTF-8.'),
  base64: base64Text.optional().describe('The content in base64.'),
  digest: digestText.optional().describe('The digest of an uploaded blob (POST /v1/blobs).'),
};

type ContentFields = { text?: unknown; base64?: unknown; digest?: unknown };

function hasOneContent(value: ContentFields): boolean {
  return [value.text, value.base64, value.digest].filter((field) => field !== undefined).length === 1;
}

const oneContent = { error: 'needs exactly one of "text", "base64" and "digest"' };

export const contentSchema = z.strictObject(contentFields).refine(hasOneContent, oneContent);

export const fileSchema = z
  .strictObject({ path: pathText, ...contentFields })
  .refine(hasOneContent, oneContent);

export type ContentInput = z.infer<typeof contentSchema>;
export type FileInput = z.infer<typeof fileSchema>;
