import type { ServerResponse } from 'node:http';
import type { EventSource } from './event-source';
import { formatPosition } from './position';

export interface EventStreamOptions {
  heartbeatMs: number;
  /** A client that takes nothing for this long is cut. */
  stalledMs: number;
  /** Asked before each event and each heartbeat. False ends the stream: the key was revoked. */
  isAllowed: () => Promise<boolean>;
}

/** Pause that clients are told to make before they connect again. */
const reconnectMs = 1_000;

/**
 * One client's server-sent events (WHATWG HTML, section 9.2). The client's pace is the stream's: the next event is
 * taken from NATS when the last one has left for the client.
 */
export class EventStream {
  private ended = false;

  constructor(
    private readonly response: ServerResponse,
    private readonly source: EventSource,
    private readonly options: EventStreamOptions,
  ) {}

  /** Until the client leaves, the stream is ended, or it fails. Never rejects. */
  async run(): Promise<void> {
    this.response.once('close', () => void this.end());
    const heartbeat = setInterval(() => void this.beat(), this.options.heartbeatMs);
    try {
      const begin = this.source.start === undefined ? '' : `id: ${this.source.start}\n\n`;
      await this.write(`retry: ${reconnectMs}\n\n: connected\n\n${begin}`);
      for await (const message of this.source.messages) {
        if (this.ended || !(await this.options.isAllowed())) break;
        const eventId = message.headers?.get('Nats-Msg-Id') ?? '';
        const data = message.string().replace(/\r\n|\r|\n/g, '\ndata: ');
        await this.write(`id: ${formatPosition(message.seq, eventId)}\ndata: ${data}\n\n`);
      }
    } catch {
      // The source broke; the client connects again and resumes.
    } finally {
      clearInterval(heartbeat);
      await this.end();
    }
  }

  /** The client sees a complete answer and connects again, to another gateway if this one is stopping. */
  async end(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    this.response.end();
    await this.source.close();
  }

  private async beat(): Promise<void> {
    if (this.ended || this.response.writableNeedDrain) return;
    if (await this.options.isAllowed()) await this.write(': alive\n\n');
    else await this.end();
  }

  private async write(text: string): Promise<void> {
    if (this.ended || this.response.write(text)) return;
    await new Promise<void>((resolve) => {
      const stalled = setTimeout(() => this.response.destroy(), this.options.stalledMs);
      const go = () => {
        clearTimeout(stalled);
        this.response.off('drain', go).off('close', go);
        resolve();
      };
      this.response.once('drain', go).once('close', go);
    });
  }
}
