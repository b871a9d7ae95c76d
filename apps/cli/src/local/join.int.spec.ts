import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Output } from '../output';
import { Session } from '../session';
import { startJoinedAgent } from './join';

describe('joining with what is no token', () => {
  let folder: string;
  let said = '';
  const stream = { write: (text: string) => (said += text) };
  const attempt = (token: string) =>
    startJoinedAgent(new Session({ ALTO_DATA_DIR: folder }), new Output(stream, stream, false), token);

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'alto-join-'));
    said = '';
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it.each(['nonsense', 'alto-node-1.e30', ''])('is refused before anything is kept or started (%p)', async (token) => {
    await expect(attempt(token)).rejects.toMatchObject({ nextStep: expect.stringContaining('alto nodes token') });
    expect(existsSync(join(folder, 'keys'))).toBe(false);
    expect(said).toBe('');
  });

  it('leaves the token of a machine that has joined', async () => {
    mkdirSync(join(folder, 'keys'));
    const file = join(folder, 'keys', 'join.token');
    writeFileSync(file, 'the one that works\n');
    await expect(attempt('alto-node-1.cut')).rejects.toThrow('no token of an Alto');
    expect(readFileSync(file, 'utf8')).toBe('the one that works\n');
  });
});
