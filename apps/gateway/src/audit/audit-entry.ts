/** Entries of the audit log as they are written: pure. */
import { isChange } from '@alto/contracts';
import type { LearnedOperation } from '../routing/learned-operation';
import { maskText } from './masking';

/** Written before a change is passed on. */
export interface AuditEntry {
  readonly id: string;
  readonly at: string;
  readonly project_id: string | null;
  readonly key_id: string | null;
  readonly key_name: string | null;
  readonly role: string | null;
  readonly operation: string;
  readonly resource: string;
  readonly address: string;
  readonly request_id: string;
  readonly trace_id: string;
  readonly attempts: number;
  readonly before: unknown;
}

/** Written when it is answered. */
export interface AuditResult {
  readonly entry_id: string;
  readonly at: string;
  readonly status: number;
  readonly code: string | null;
  readonly after: unknown;
}

const resourceLengthMax = 300;

/** What a request is about, as its path says without the project: `apps/web`, `topics/orders/messages`. */
export function resourceOf(operation: LearnedOperation, path: Readonly<Record<string, string>>): string {
  const template = operation.http.path.replace(/^\/v1\/(projects\/\{project\}\/)?/, '');
  const filled = template.replace(/\{([a-zA-Z]+)\}/g, (_, field: string) => path[field] ?? '');
  return maskText(filled).slice(0, resourceLengthMax).toWellFormed();
}

/** Changes are written whatever becomes of them; of reads what the key is not good for. */
export function isWorthWriting(operation: LearnedOperation, status: number): boolean {
  if (status === 401 || status === 403) return true;
  return isChange(operation) && status >= 400 && status < 500;
}

/** The operation that shows what this one changes, where the service has one; nothing shows what is yet to be made. */
export function readOf(
  operation: LearnedOperation,
  operations: readonly LearnedOperation[],
): LearnedOperation | undefined {
  const path = changedPath(operation.http);
  return operations.find(
    ({ service, http }) =>
      service === operation.service && http.method === 'GET' && http.path === path && (http.kind ?? 'json') === 'json',
  );
}

/** A POST adds to what its path names, unless that ends in something to be done with one: `apps/{app}/restart`. */
function changedPath({ method, path }: LearnedOperation['http']): string | undefined {
  if (method !== 'POST') return path;
  return /^(.*\})\/[a-z-]+$/i.exec(path)?.[1];
}
