/**
 * Secrets that have no place in a repository, told by their form: what Alto makes itself, and what its neighbours do.
 * Whoever finds one here makes it worthless first (revokes it), then removes it: the history keeps what was committed.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface SecretForm {
  readonly name: string;
  /** Where it has a group, that is the secret; else all of it. */
  readonly pattern: RegExp;
}

export const secretForms: readonly SecretForm[] = [
  { name: 'private key', pattern: /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{16,}/g },
  { name: 'API key of Alto', pattern: /\balto_[0-9a-z]{26}_[0-9a-f]{64}\b/g },
  { name: 'token for joining an Alto', pattern: /\balto-node-\d+\.[A-Za-z0-9_-]{40,}/g },
  { name: 'seed of an nkey', pattern: /\bS[UAOCNX][A-Z2-7]{56}\b/g },
  { name: 'signed token', pattern: /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}/g },
  { name: 'AWS access key', pattern: /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g },
  { name: 'AWS secret key', pattern: /aws_?secret_?access_?key["']?\s*[:=]\s*["']?([A-Za-z0-9/+]{40})\b/gi },
  { name: 'GitHub token', pattern: /\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})/g },
  { name: 'npm token', pattern: /\bnpm_[A-Za-z0-9]{36}\b|_authToken\s*=\s*([^\s$]{8,})/g },
  { name: 'Slack token', pattern: /\bxox[abeoprs]-[A-Za-z0-9-]{20,}/g },
  { name: 'Google API key', pattern: /\bAIza[A-Za-z0-9_-]{35}\b/g },
  { name: 'Stripe key', pattern: /\b[rs]k_live_[A-Za-z0-9]{20,}/g },
  { name: 'password in a URL', pattern: /\b[a-z][a-z0-9+]*:\/\/[^\s/:@$'"`{}<>]+:([^\s/@$'"`{}<>]+)@/gi },
  {
    name: 'secret given to a name',
    pattern:
      /\b\w*(?:password|passwd|secret|token|api_?key|private_?key)["']?\s*[:=]\s*["']([A-Za-z0-9+/_-]{32,}={0,2})["']/gi,
  },
];

/** What stands in documentation for a password. */
const placeholders = new Set(['password', 'pw', 'secret', '***']);

export interface FoundSecret {
  readonly path: string;
  readonly line: number;
  readonly form: string;
}

/** Never the secret itself: what is found ends in logs. */
export function secretsIn(path: string, text: string): FoundSecret[] {
  return secretForms.flatMap(({ name, pattern }) =>
    Array.from(text.matchAll(pattern))
      .filter(([all, secret = all]) => !placeholders.has(secret))
      .map(({ index }) => ({ path, line: text.slice(0, index).split('\n').length, form: name })),
  );
}

/** Files that are tracked, or about to be. */
export function repositoryFiles(root: string): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 })
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(root, path)) && statSync(join(root, path)).isFile());
}

export function secretsInRepository(root: string): FoundSecret[] {
  // Each byte a character: a secret in the middle of a binary file is one, too.
  return repositoryFiles(root).flatMap((path) => secretsIn(path, readFileSync(join(root, path), 'latin1')));
}
