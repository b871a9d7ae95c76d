/** Where no agent of this machine keeps the services: the real session, with no Alto in its folder. */
import { Output } from '../output';
import { runWith } from '../program';
import { Session } from '../session';

async function typed(words: string, environment: Session['environment']) {
  let said = '';
  const output = new Output({ write: () => true }, { write: (text) => (said += text) }, false);
  const session = new Session({ HOME: '/nonexistent', ALTO_DATA_DIR: '/nonexistent', ...environment });
  return { code: await runWith(session, output, words.split(' ').slice(1)), said: said.replaceAll(/\s+/g, ' ') };
}

const again = 'docker compose up --build --detach --no-deps compute';

describe('where a key of an Alto is given', () => {
  it.each([
    ['alto services restart compute', 'docker compose restart compute'],
    ['alto services restart node-agent', 'docker compose restart node-agent'],
    ['alto services update compute --to 1', again],
    ['alto services rollback compute', again],
    ['alto services versions compute', 'docker image ls alto-compute'],
    ['alto services scale compute 2', 'Docker Compose runs Alto: there is one of each service'],
    ['alto status', 'docker compose ps'],
    ['alto logs --workload gateway.0', 'docker compose logs gateway`'],
    ['alto down', 'docker compose down'],
    ['alto nodes token', 'Docker Compose runs Alto: no other machine can join it'],
    ['alto master-key rotate', 'the key in its volume `keys` cannot be rotated'],
    ['alto master-key retire 1f0c6d2b9a3e4d57', 'the key in its volume `keys` cannot be rotated'],
  ])('%s says what does it with Docker Compose', async (words, step) => {
    for (const more of [{}, { ALTO_URL: 'http://127.0.0.1:9' }]) {
      const { code, said } = await typed(words, { ALTO_API_KEY: 'key', ...more });
      expect(said).toContain(step);
      expect(said).toContain('No agent runs on this machine');
      expect(said).not.toContain('Start it with');
      expect(code).toBe(5);
    }
  });
});

it('tells whoever knows of no other Alto to start one', async () => {
  const { code, said } = await typed('alto services restart compute', {});
  expect(said).toMatch(/No Alto runs on this machine .* Start it with `(\.\/)?alto up`/);
  expect(said).not.toContain('docker');
  expect(code).toBe(5);
});
