import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LogRate } from './log-rate';

it('gives back the midst of what was too much: how it began and what was said last stay', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'alto-log-rate-'));
  try {
    const path = join(folder, 'log');
    const rate = new LogRate();
    rate.begin('a', 1_024, 0, 0);
    const flood = `${'x'.repeat(1_023)}\n`.repeat(1_024);
    writeFileSync(path, `first\n${flood}last\n${'y'.repeat(8_191)}\n`);
    const dropped = await rate.hold('a', path, 1_024, 0);
    const text = readFileSync(path, 'utf8');
    expect(dropped?.bytes).toBe(text.split('\0').length - 1);
    expect(dropped?.bytes).toBeGreaterThan(1_000_000);
    expect(text.startsWith('first\nx')).toBe(true);
    expect(text.includes('\nlast\n')).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
