import { readFileSync } from 'node:fs';
import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { accountClaims, inboxPrefix } from '@alto/contracts';
import { CONFIG, Log, NatsBus } from '@alto/platform';
import { type Account, type ClaimsData, encodeAccount, fromPublic, fromSeed } from '@nats-io/jwt';
import { type NatsConnection, RequestError } from '@nats-io/transport-node';
import type { GatewayConfig } from '../config';

export type AccountClaims = ClaimsData<Account>;

interface Keeping {
  readonly account: string;
  readonly keyFile: string;
  readonly bus: NatsBus;
}

const answerWithinMs = 1_000;

/**
 * The account of subscribers as NATS holds it. NATS lets a gateway's user of the system account read and replace this
 * one account; what it takes must be signed by a key that vouches for accounts.
 */
@Injectable()
export class SubscriberAccount implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly keeping: Keeping | undefined;

  constructor(@Inject(CONFIG) config: GatewayConfig, log: Log) {
    const {
      ALTO_NATS_SUBSCRIBER_ACCOUNT: account,
      ALTO_NATS_ACCOUNT_KEY_FILE: keyFile,
      ALTO_NATS_SYSTEM_CREDS_FILE: credsFile,
    } = config;
    if (account === undefined || keyFile === undefined || credsFile === undefined) return;
    const name = `gateway/${config.ALTO_SERVICE_INSTANCE}/subscribers`;
    const options = { url: config.ALTO_NATS_URL, credsFile, name, inboxPrefix: inboxPrefix('gateway') };
    this.keeping = { account, keyFile, bus: new NatsBus(options, log.child({ connection: 'subscribers' })) };
  }

  /** Whether this gateway was given what it takes. */
  get isKept(): boolean {
    return this.keeping !== undefined;
  }

  onApplicationBootstrap(): void {
    this.keeping?.bus.start();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.keeping?.bus.close();
  }

  /** Calls the listener whenever NATS is (again) there. */
  onConnected(listener: () => void): void {
    this.keeping?.bus.onState((state) => state === 'connected' && listener());
  }

  /** What NATS holds, and has checked itself. @throws Error whose message says in words why it cannot be had */
  async read(): Promise<AccountClaims> {
    const { account, connection } = this.reachable();
    const jwt = await ask(connection, accountClaims(account).lookup);
    const [, claims = ''] = jwt.split('.');
    if (claims === '') throw new Error('NATS does not know the account of subscribers.');
    return JSON.parse(Buffer.from(claims, 'base64url').toString()) as AccountClaims;
  }

  /**
   * Leaves all as NATS holds it but for who is refused: whoever of them is connected is cut off, nobody else is.
   * @param revocations public nkey of a user, and the Unix second up to which what was issued to it counts for nothing
   * @throws Error
   */
  async write(claims: AccountClaims, revocations: Record<string, number>): Promise<void> {
    const { account, keyFile, connection } = this.reachable();
    const signer = fromSeed(Buffer.from(readFileSync(keyFile, 'utf8').trim()));
    const jwt = await encodeAccount(claims.name, fromPublic(account), { ...claims.nats, revocations }, { signer });
    const answer = await ask(connection, accountClaims(account).update, jwt);
    const { data, error } = JSON.parse(answer) as { data?: { code: number }; error?: { description: string } };
    if (data?.code !== 200) throw new Error(`NATS has not taken it: ${error?.description ?? answer}`);
  }

  private reachable(): Keeping & { connection: NatsConnection } {
    if (this.keeping === undefined) throw new Error('This gateway has no key with which it could tell NATS.');
    const { connection } = this.keeping.bus;
    if (connection === undefined) throw new Error('NATS is away.');
    return { ...this.keeping, connection };
  }
}

async function ask(connection: NatsConnection, subject: string, text = ''): Promise<string> {
  try {
    return (await connection.request(subject, text, { timeout: answerWithinMs })).string();
  } catch (error) {
    const isUnheard = error instanceof RequestError && error.isNoResponders();
    const why = isUnheard
      ? 'was started with settings that keep accounts as they are: start it anew'
      : 'does not answer';
    throw new Error(`NATS ${why}.`, { cause: error });
  }
}
