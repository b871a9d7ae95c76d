/** Writes rows in batches: while one is being written, the next one gathers. Nobody waits for anything but the disk. */

export type WriteRows<R> = (rows: readonly R[]) => Promise<void>;

interface Waiting<R> {
  readonly row: R;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class Batches<R> {
  private waiting: Waiting<R>[] = [];
  private writing: Promise<void> | undefined;

  constructor(
    private readonly write: WriteRows<R>,
    private readonly rowsMax: number,
  ) {}

  /** Settles when the row is committed, or could not be. */
  add(row: R): Promise<void> {
    const written = new Promise<void>((done, failed) => this.waiting.push({ row, done, failed }));
    this.writing ??= this.run().finally(() => (this.writing = undefined));
    return written;
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, this.rowsMax);
      try {
        await this.write(batch.map(({ row }) => row));
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
  }
}
