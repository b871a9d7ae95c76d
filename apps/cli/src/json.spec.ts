/** What each command prints with --json, read as a program reads it: one document, and failures too. */
import { AltoError } from '@alto/contracts';
import type { Command } from 'commander';
import { Output } from './output';
import { makeProgram } from './program';
import { Session } from './session';
import { type Script, type } from './session.fake';

const lines = [{ instance: 'ins_1', stream: 'stdout', text: 'hello' }];
const received = {
  position: '8.a',
  event: { id: 'evt_1', type: 'compute.apps.created', subject: 'app_1', time: '2030' },
};
const status = { phase: 'running', version: '1', pid: 1, startedAt: '2030', workloads: [] };

/** Command → what the API and the agent answer, and what is printed. */
const reads: Record<string, { script: Script; document: unknown; typed?: string }> = {
  status: { script: { agent: { requireStatus: () => status } }, document: status },
  'projects list': listed('projects.list'),
  'projects show': { script: { api: { 'projects.get': () => ({ name: 'x' }) } }, document: { name: 'x' }, typed: 'x' },
  'quotas show': { script: { api: { 'quotas.get': () => ({ limits: {} }) } }, document: { limits: {} } },
  'keys list': listed('keys.list'),
  'apps list': listed('apps.list'),
  'apps show': {
    script: { api: { 'apps.get': () => ({ name: 'x' }), 'instances.list': () => [] } },
    document: { app: { name: 'x' }, instances: [] },
    typed: 'x',
  },
  'apps revisions': listed('revisions.list', 'x'),
  rollouts: listed('rollouts.list', 'x'),
  logs: {
    script: { api: { 'logs.read': () => ({ lines, cursor: '1' }) } },
    document: { lines, cursor: '1' },
    typed: 'x',
  },
  'routes list': listed('routes.list'),
  'routes show': { script: { api: { 'routes.get': () => ({ name: 'x' }) } }, document: { name: 'x' }, typed: 'x' },
  'secrets list': listed('secrets.list'),
  'master-key status': listed('masterkeys.list'),
  'nodes list': listed('nodes.list'),
  'services list': {
    script: { api: { 'services.list': () => ({ items: [] }) } },
    document: { items: [] },
  },
  'services versions': {
    script: { agent: { versions: () => ({ versions: [] }) } },
    document: { versions: [] },
    typed: 'compute',
  },
  events: {
    script: { api: { follow: ({ after }) => (after === undefined ? [] : [received, received]) } },
    document: { items: [received, received] },
  },
  audit: listed('audit.list'),
  'completion bash': { script: {}, document: { shell: 'bash', script: expect.any(String) } },
  'completion zsh': { script: {}, document: { shell: 'zsh', script: expect.any(String) } },
  'completion names': { script: { api: { 'apps.list': () => [] } }, document: { items: [] }, typed: 'apps' },
};

/** They change something, or look at the machine itself: other tests type them. */
const others = [
  ...'up join down doctor login deploy scale rollback restart delete'.split(' '),
  ...['projects create', 'projects use', 'quotas set', 'keys create', 'keys rotate', 'keys revoke'],
  ...['routes put', 'routes delete', 'secrets set', 'secrets delete', 'master-key rotate', 'master-key retire'],
  ...['nodes cordon', 'nodes drain', 'nodes uncordon', 'nodes delete', 'nodes token'],
  ...['services restart', 'services update', 'services rollback', 'services scale'],
];

function listed(operation: string, typed = '') {
  return { script: { api: { [operation]: () => [] } }, document: { items: [] }, typed };
}

function leaves(command: Command, path: readonly string[] = []): string[] {
  if (command.commands.length === 0) return [path.join(' ')];
  return command.commands.flatMap((child) => leaves(child, [...path, child.name()]));
}

describe('--json', () => {
  it('is tried with every command that reads', () => {
    const stream = { write: () => true };
    const program = makeProgram(new Session({}), new Output(stream, stream, false));
    expect([...Object.keys(reads), ...others].sort()).toEqual(leaves(program).sort());
  });

  it.each(Object.entries(reads))('makes one document of alto %s', async (words, { script, document, typed = '' }) => {
    const { code, printed, complaint } = await type(`alto ${words} ${typed} --json`.replaceAll(/ +/g, ' '), script);
    expect({ code, complaint }).toEqual({ code: 0, complaint: '' });
    expect(JSON.parse(printed)).toEqual(document);
  });

  it.each([
    ['alto logs x --json', { api: { 'logs.read': () => ({ lines: [], cursor: '0' }) } }, { lines: [], cursor: '0' }],
    ['alto events --json', { api: { follow: () => [] } }, { items: [] }],
  ])('makes a document where there is nothing: %s', async (typed, script, document) => {
    expect(JSON.parse((await type(typed, script)).printed)).toEqual(document);
  });

  it('makes one object a line of what goes on: alto events -f', async () => {
    const { printed } = await type('alto events -f --json', { api: { follow: () => [received, received] } });
    expect(printed).toBe(`${JSON.stringify(received)}\n`.repeat(2));
  });

  it.each([
    ['alto deplo x --json', /unknown command 'deplo'/],
    ['alto --json', /No command was given/],
    ['alto apps lst --json', /unknown command 'lst'[\s\S]*There are list, show/],
    ['alto apps show --json', /missing required argument 'app'/],
    ['alto scale x many --json', /whole number/],
    ['alto logs x --nonsense --json', /unknown option '--nonsense'/],
  ])('makes JSON of a mistake on the command line: %s', async (typed, said) => {
    const { code, printed, complaint } = await type(typed, {});
    expect({ code, printed }).toEqual({ code: 2, printed: '' });
    expect(JSON.parse(complaint)).toEqual({
      error: { detail: expect.stringMatching(said), nextStep: expect.stringContaining('--help') },
    });
  });

  it('makes JSON of a failure', async () => {
    const fail = () => {
      throw new AltoError('not_found', 'The project has no app x.');
    };
    const { code, complaint } = await type('alto apps show x --json', { api: { 'apps.get': fail } });
    expect(code).toBe(4);
    expect(JSON.parse(complaint)).toMatchObject({ error: { code: 'not_found', detail: 'The project has no app x.' } });
  });
});
