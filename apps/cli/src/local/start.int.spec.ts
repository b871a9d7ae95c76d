import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Output } from '../output';
import { Session } from '../session';
import { startAgent } from './start';

it('says where data cannot be kept, and how to keep it elsewhere', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'alto-start-'));
  try {
    writeFileSync(join(folder, 'file'), '');
    const quiet = { write: () => true };
    for (const place of ['file', 'file/below']) {
      const session = new Session({ ALTO_DATA_DIR: join(folder, place) });
      await expect(startAgent(session, new Output(quiet, quiet, false))).rejects.toMatchObject({
        message: expect.stringContaining(join(folder, place)),
        nextStep: expect.stringContaining('ALTO_DATA_DIR'),
      });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
