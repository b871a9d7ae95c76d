/**
 * Announcements: each instance of a service says regularly that it is there, where its HTTP host is, and which contract
 * it serves (by its digest; the contract itself is fetched once). They are signed with the key of the service's NATS
 * user, whose JWT comes along: a service can speak for its own namespace and for no other.
 */
import { createHash } from 'node:crypto';
import {
  announceSubject,
  type Operation,
  operationsOf,
  type ServiceName,
  serviceNames,
  takesDryRun,
} from '@alto/contracts';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { NatsCredentials } from './nats-credentials';
import { isSignedBy, readUserJwt, signWithSeed, type UserClaims } from './nkey';

const announcementSchema = z.object({
  service: z.enum(serviceNames),
  version: z.string().max(100),
  instance: z.string().regex(/^[A-Za-z0-9_-]{1,60}$/),
  /** Where uploads, downloads and health are served; null for a service without an HTTP host. */
  httpUrl: z.url().max(500).nullable(),
  state: z.enum(['ready', 'draining', 'left']),
  /** SHA-256 of the contract's text, hex. */
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  startedAtMs: z.number().int(),
  /** Grows with each announcement of the instance, so that an old one cannot be played again. */
  sequence: z.number().int(),
});
export type Announcement = z.infer<typeof announcementSchema>;

const envelopeSchema = z.object({
  /** Text of the announcement: exactly the bytes that are signed. */
  announcement: z.string().max(10_000),
  jwt: z.string().max(20_000).optional(),
  signature: z.string().max(200).optional(),
});

const operationContractSchema = z.object({
  name: z.string(),
  service: z.enum(serviceNames),
  noun: z.string(),
  verb: z.string(),
  version: z.number().int(),
  subject: z.string(),
  summary: z.string(),
  http: z
    .object({
      method: z.enum(['GET', 'PUT', 'POST', 'PATCH', 'DELETE']),
      path: z.string().startsWith('/'),
      status: z.number().int().optional(),
      kind: z.enum(['json', 'upload', 'download', 'events']).optional(),
      query: z.array(z.string()).optional(),
    })
    .optional(),
  permission: z.string(),
  callers: z.array(z.string()),
  errors: z.array(z.string()),
  idempotent: z.boolean(),
  precondition: z.enum(['optional', 'required']).optional(),
  dryRun: z.literal(true).optional(),
  perInstance: z.boolean().optional(),
  /** JSON Schema (draft 2020-12). */
  input: z.record(z.string(), z.unknown()),
  output: z.record(z.string(), z.unknown()),
});
/** An operation as another process announced it: plain data, possibly of a newer version of the contracts. */
export type OperationContract = z.infer<typeof operationContractSchema>;

const contractSchema = z.object({
  service: z.enum(serviceNames),
  operations: z.array(operationContractSchema).max(1_000),
});
export type ServiceContract = z.infer<typeof contractSchema>;

/** Why an announcement or a contract is not believed. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** The text of a service's contract; its digest is what announcements name. */
export function contractText(service: ServiceName, operations: readonly Operation[] = operationsOf(service)): string {
  return JSON.stringify({ service, operations: operations.map(describeOperation) });
}

export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function describeOperation(operation: Operation): OperationContract {
  const { name, service, noun, verb, version, subject, summary, http, permission, callers, errors, idempotent } =
    operation;
  return {
    ...{ name, service, noun, verb, version, subject, summary, permission, idempotent },
    ...(http !== undefined && { http: { ...http, query: http.query && [...http.query] } }),
    ...(operation.precondition !== undefined && { precondition: operation.precondition }),
    ...(takesDryRun(operation) && { dryRun: true as const }),
    ...(operation.perInstance === true && { perInstance: true }),
    callers: [...callers],
    errors: [...errors],
    input: jsonSchema(operation.input, 'input'),
    output: jsonSchema(operation.output, 'output'),
  };
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Record<string, unknown> {
  return z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Record<string, unknown>;
}

/** @param credentials without them the announcement is unsigned, which only a receiver without credentials believes. */
export function encodeAnnouncement(announcement: Announcement, credentials: NatsCredentials | undefined): string {
  const text = JSON.stringify(announcement);
  if (credentials === undefined) return JSON.stringify({ announcement: text });
  return JSON.stringify({ announcement: text, jwt: credentials.jwt, signature: signWithSeed(credentials.seed, text) });
}

export class AnnouncementReader {
  /** JWTs whose signature was found right, with what they say. */
  private readonly checked = new LRUCache<string, { name: string; key: string; expiresAtMs: number }>({ max: 1_000 });

  /** @param issuer account whose users are believed; undefined where NATS is used without credentials. */
  constructor(private readonly issuer: string | undefined) {}

  /**
   * @param subject that it was received on: NATS lets a service publish only its own.
   * @throws Refused with the reason
   */
  read(subject: string, envelope: unknown): Announcement {
    const outer = envelopeSchema.safeParse(envelope);
    if (!outer.success) throw new Refused('it is malformed');
    const { announcement: text, jwt, signature } = outer.data;
    const announcement = parseAnnouncement(text);
    if (subject !== announceSubject(announcement.service))
      throw new Refused(`it speaks for ${announcement.service} on ${subject}`);
    if (this.issuer !== undefined) this.checkSignature(announcement, text, jwt, signature);
    return announcement;
  }

  private checkSignature(
    announcement: Announcement,
    text: string,
    jwt: string | undefined,
    signature: string | undefined,
  ): void {
    if (jwt === undefined || signature === undefined) throw new Refused('it is not signed');
    const user = this.checked.get(jwt) ?? this.readUser(jwt);
    if (user.name !== announcement.service) throw new Refused(`${user.name} speaks for ${announcement.service}`);
    if (user.expiresAtMs < Date.now()) throw new Refused("the signer's credentials have expired");
    if (!isSignedBy(user.key, text, signature)) throw new Refused('its signature is wrong');
  }

  private readUser(jwt: string): { name: string; key: string; expiresAtMs: number } {
    const claims = decodeUser(jwt);
    if (claims.iss !== this.issuer) throw new Refused('its signer belongs to another account');
    const user = { name: claims.name, key: claims.sub, expiresAtMs: (claims.exp ?? Infinity) * 1000 };
    this.checked.set(jwt, user);
    return user;
  }
}

/**
 * Reads a fetched contract.
 * @throws Refused when it is not the one announced, or names operations of another service.
 */
export function readContract(announcement: Announcement, text: string): ServiceContract {
  if (digestOf(text) !== announcement.digest) throw new Refused('the contract is not the one announced');
  const parsed = contractSchema.safeParse(JSON.parse(text));
  if (!parsed.success) throw new Refused('the contract is malformed');
  const contract = parsed.data;
  const { service } = announcement;
  const foreign = contract.operations.find(
    (one) =>
      one.service !== service || !one.name.startsWith(`${service}.`) || !one.subject.startsWith(`alto.rpc.${service}.`),
  );
  if (contract.service !== service || foreign !== undefined) {
    throw new Refused(`${service} announces ${foreign?.name ?? contract.service}, which is not its own`);
  }
  return contract;
}

function parseAnnouncement(text: string): Announcement {
  try {
    return announcementSchema.parse(JSON.parse(text));
  } catch {
    throw new Refused('it is malformed');
  }
}

/** Also checks that the JWT was signed by the issuer that it names. */
function decodeUser(jwt: string): UserClaims {
  try {
    return readUserJwt(jwt);
  } catch {
    throw new Refused("its signer's JWT is not valid");
  }
}
