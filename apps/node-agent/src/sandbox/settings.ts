/** What the operator can say of the sandbox; part of the agent's configuration. */
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { parseNetwork } from './address';
import { sandboxPolicies } from './level';

/** Separated by commas. */
const list = (isValid: (word: string) => boolean, message: string) =>
  z.string().transform((text, context) => {
    const words = text
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '');
    if (words.every(isValid)) return words;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

const isNetwork = (text: string) => parseNetwork(text) !== undefined;

export const sandboxSettings = {
  ALTO_SANDBOX: z
    .enum(sandboxPolicies)
    .default('auto')
    .describe(
      'The least that apps are started on: `auto` any sandbox, `required` the level sandboxed, `optional` none; `off` makes none. `alto doctor` says what there is',
    ),
  ALTO_SANDBOX_NETWORK: z
    .string()
    .refine((text) => parseNetwork(text)?.bits === 16, 'must be a network such as 10.200.0.0/16')
    .optional()
    .describe('Network of sandboxed apps; unless given a part of 10.192.0.0/10 that this machine does not use'),
  ALTO_SANDBOX_REFUSED: list(isNetwork, 'must be networks such as 10.0.0.0/8, separated by commas')
    .prefault('169.254.0.0/16')
    .describe("Networks that sandboxed apps may not reach, separated by commas; unless given that of clouds' metadata"),
  ALTO_SANDBOX_READABLE: list(isAbsolute, 'must be absolute paths, separated by commas')
    .prefault('')
    .describe('Further files and folders of this machine that sandboxed apps may read, separated by commas'),
  ALTO_SANDBOX_UID_FIRST: z.coerce
    .number()
    .int()
    .min(1_000)
    .max(4_294_900_000)
    .default(2_000_000_000)
    .describe('First of 65,536 user ids that this machine gives to nobody else: an instance has that plus its port'),
  ALTO_BUBBLEWRAP: z
    .string()
    .refine(isAbsolute, 'must be an absolute path')
    .optional()
    .describe('Path of bubblewrap (bwrap); unless given that of the last start, or it is looked for in PATH'),
  ALTO_NFT: z
    .string()
    .refine(isAbsolute, 'must be an absolute path')
    .optional()
    .describe('Path of nft (nftables); unless given that of the last start, or it is looked for in PATH'),
};
