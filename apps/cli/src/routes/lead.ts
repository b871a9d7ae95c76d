/** What the options of `alto routes put` say of a route: where it leads, and what is changed on the way. */
import type { loadBalancerOperations, RequestOf } from '@alto/contracts';
import { CommandError, exitCodes } from '../failure';

type Put = RequestOf<typeof loadBalancerOperations.routes.put>;
export type Lead = Pick<Put, 'app' | 'apps' | 'redirect' | 'headers'>;

export interface LeadOptions {
  /** `shop`, or several as `shop=90`. */
  app?: readonly string[];
  redirect?: string;
  status?: number;
  keepPath?: boolean;
  /** `name: value`; without a value the header is removed. */
  requestHeader?: readonly string[];
  responseHeader?: readonly string[];
}

/** @throws CommandError for what the API cannot be asked; the API itself says what else is wrong */
export function leadOf(options: LeadOptions): Lead {
  return { ...destinationOf(options), ...headersOf(options) };
}

function destinationOf({ app = [], redirect, status, keepPath }: LeadOptions): Lead {
  if (app.length > 0 === (redirect !== undefined))
    throw new CommandError('Say where it leads: either --app or --redirect.', usage, exitCodes.usage);
  if (redirect !== undefined) {
    return {
      redirect: {
        to: redirect,
        ...(status !== undefined && { status: status as NonNullable<Lead['redirect']>['status'] }),
        ...(keepPath === true && { keepPath }),
      },
    };
  }
  const [first = ''] = app;
  if (app.length === 1 && !first.includes('=')) return { app: first };
  return { apps: app.map(shareOf) };
}

function shareOf(text: string): { app: string; weight: number } {
  const [app = '', weight = ''] = text.split('=');
  if (!/^\d+$/.test(weight))
    throw new CommandError(
      `'${text}' has no weight.`,
      'Several apps are given as `--app shop=90 --app next=10`.',
      exitCodes.usage,
    );
  return { app, weight: Number(weight) };
}

function headersOf({ requestHeader, responseHeader }: LeadOptions): Pick<Lead, 'headers'> {
  if (requestHeader === undefined && responseHeader === undefined) return {};
  return { headers: { request: changesOf(requestHeader ?? []), response: changesOf(responseHeader ?? []) } };
}

function changesOf(lines: readonly string[]): { set: Record<string, string>; remove: string[] } {
  const set: Record<string, string> = {};
  const remove: string[] = [];
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = (colon === -1 ? line : line.slice(0, colon)).trim();
    const value = colon === -1 ? '' : line.slice(colon + 1).trim();
    if (value === '') remove.push(name);
    else set[name] = value;
  }
  return { set, remove };
}

const usage = '`alto routes put --help` shows examples.';
