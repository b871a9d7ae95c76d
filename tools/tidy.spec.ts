/**
 * House rules that a linter does not know, and the proof that the rules bite: each planted violation must be reported.
 * Style in words: CONTRIBUTING.md.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const fileLinesMax = 500;
const banishedFolders = ['utils', 'helpers', 'common', 'shared', 'base', 'types', 'v2'];
const roles = [
  'bench',
  'config',
  'conformance',
  'controller',
  'd',
  'engine',
  'entity',
  'fake',
  'filter',
  'guard',
  'int',
  'module',
  'reconciler',
  'service',
  'spec',
  'state',
  'store',
];

interface SourceFile {
  readonly path: string;
  readonly text: string;
}

interface Rule {
  readonly name: string;
  readonly instead: string;
  broken(file: SourceFile): boolean;
  readonly planted: SourceFile;
}

const isTest = ({ path }: SourceFile) =>
  /\.(spec|bench|conformance|fake)\.ts$/.test(path) || path.startsWith('tests/') || path.startsWith('libs/testing/');
const inSources = ({ path }: SourceFile) => /^(apps|libs)\//.test(path);
const banned = (name: string, pattern: RegExp, instead: string, planted: string, where = inSources): Rule => ({
  name,
  instead,
  broken: (file) => where(file) && pattern.test(withoutComments(file.text)),
  planted: { path: 'apps/search/src/planted.ts', text: planted },
});

const rules: Rule[] = [
  {
    name: 'a file that can be read from top to bottom',
    instead: `split a file of more than ${fileLinesMax} lines by noun`,
    broken: ({ path, text }) => !path.endsWith('.spec.ts') && text.split('\n').length > fileLinesMax,
    planted: { path: 'apps/search/src/planted.ts', text: '\n'.repeat(fileLinesMax + 1) },
  },
  {
    name: 'a file name that says noun and role',
    instead: `use <noun>.ts or <noun>.<role>.ts with a role of: ${roles.join(', ')}`,
    broken: ({ path }) => inSources({ path, text: '' }) && !/\/migrations\//.test(path) && !wellNamed(path),
    planted: { path: 'apps/search/src/documents.helper.ts', text: '' },
  },
  {
    name: 'a folder named after what is in it',
    instead: `name the noun instead of ${banishedFolders.join(', ')}`,
    broken: ({ path }) =>
      dirname(path)
        .split('/')
        .some((folder) => banishedFolders.includes(folder)),
    planted: { path: 'apps/search/src/utils/text.ts', text: '' },
  },
  banned(
    'no mocked modules',
    /\bjest\s*\.\s*(mock|doMock|unstable_mockModule)\b/,
    'ship a fake beside the port',
    "jest.mock('pg')",
    () => true,
  ),
  banned(
    'no focused or skipped tests',
    /\b(it|test|describe)\.(only|skip|todo)\b|\b[xf](it|describe)\(/,
    'fix or delete the test',
    "it.only('works', () => {});",
    ({ path }) => /\.(spec|conformance)\.ts$|planted/.test(path),
  ),
  banned(
    'no synchronised schema',
    /synchronize:\s*true/,
    'write a migration',
    'const options = { synchronize: true };',
  ),
  banned('no shell', /\bexecSync?\(|shell:\s*true/, 'execFile with an argument list', "execSync('ls ' + name)"),
  banned(
    'no time of the database in business logic',
    /\bselect\s+now\(\)|=\s*now\(\)|default\s+now\(\)|\bcurrent_timestamp\b/i,
    'Clock',
    "query('select now()')",
    (file) => inSources(file) && !isTest(file),
  ),
  banned(
    'no leftovers',
    /\b(TODO|FIXME|XXX)\b/,
    'do it, or write it into the issue',
    "const note = 'TODO';",
    () => true,
  ),
  {
    name: 'tests wait for a condition, not for time',
    instead: 'eventually(…) of @alto/testing',
    broken: (file) => /\.spec\.ts$/.test(file.path) && /await\s+(sleep|delay)\(\s*[0-9_]{4,}\s*\)/.test(file.text),
    planted: { path: 'apps/search/src/planted.spec.ts', text: 'await delay(1_000)' },
  },
];

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '--', '*.ts', '*.tsx'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(root, path)) && path !== 'tools/tidy.spec.ts')
  .map((path): SourceFile => ({ path, text: readFileSync(join(root, path), 'utf8') }));

describe.each(rules)('$name', (rule) => {
  it('holds everywhere', () => {
    const broken = files.filter((file) => rule.broken(file)).map(({ path }) => path);
    expect({ broken, instead: rule.instead }).toEqual({ broken: [], instead: rule.instead });
  });

  it('reports a planted violation', () => {
    expect(rule.broken(rule.planted)).toBe(true);
  });
});

it('every project is tagged, described and has a configuration of its own', () => {
  const projects = execFileSync('git', ['ls-files', '--', 'apps/*/project.json', 'libs/*/project.json'], {
    cwd: root,
    encoding: 'utf8',
  })
    .trim()
    .split('\n');
  expect(projects.length).toBeGreaterThanOrEqual(12);
  for (const path of projects) {
    const { tags } = JSON.parse(readFileSync(join(root, path), 'utf8')) as { tags?: string[] };
    expect({ path, tags }).toEqual({ path, tags: [expect.stringMatching(/^scope:/)] });
    expect({ path, readme: existsSync(join(root, dirname(path), 'README.md')) }).toEqual({ path, readme: true });
  }
});

describe('boundaries between and inside projects', () => {
  const plant = (path: string, text: string, check: (path: string) => { status: number | null; output: string }) => {
    const absolute = join(root, path);
    mkdirSync(dirname(absolute), { recursive: true });
    writeFileSync(absolute, text);
    try {
      return check(path);
    } finally {
      rmSync(absolute);
    }
  };
  const run = (program: string, args: string[]) => {
    const { status, stdout, stderr } = spawnSync(join(root, 'node_modules', '.bin', program), args, {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, NX_DAEMON: 'false', NODE_OPTIONS: '' },
    });
    return { status, output: stdout + stderr };
  };
  const eslint = (path: string) => run('eslint', [path]);
  const cruise = (path: string) => run('depcruise', ['--config', '.dependency-cruiser.cjs', path]);

  beforeAll(() => {
    expect(run('nx', ['show', 'projects']).status).toBe(0); // The lint rule reads nx's graph of projects from its cache.
  });

  it.each([
    [
      'a service that imports the sdk',
      "import * as sdk from '@alto/sdk';\nexport const planted = sdk;\n",
      'scope:service',
    ],
    [
      'a service that imports another app',
      "import * as other from '../../storage/src/config';\nexport const planted = other;\n",
      'relative or absolute path',
    ],
    [
      'the environment read past the configuration',
      'export const planted = process.env.HOME;\n',
      'Read the environment once',
    ],
  ])('the linter refuses %s', (_name, text, message) => {
    const { status, output } = plant('apps/search/src/planted-boundary.ts', text, eslint);
    expect(output).toContain(message);
    expect(status).toBe(1);
  });

  it.each([
    [
      'a state machine that does I/O',
      'apps/search/src/planted.state.ts',
      "import { readFileSync } from 'node:fs';\nexport const planted = readFileSync;\n",
      'pure-logic-knows-no-machine',
    ],
    [
      'an app that reaches into another',
      'apps/search/src/planted-app.ts',
      "import * as other from '../../storage/src/config';\nexport const planted = other;\n",
      'no-other-app',
    ],
    [
      'test code in a service',
      'apps/search/src/planted-testing.ts',
      "import * as testing from '@alto/testing';\nexport const planted = testing;\n",
      'testing-in-specs-only',
    ],
  ])('the dependency check refuses %s', (_name, path, text, rule) => {
    const { status, output } = plant(path, text, cruise);
    expect(output).toContain(rule);
    expect(status).not.toBe(0);
  });
});

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}

function wellNamed(path: string): boolean {
  const [noun, ...suffixes] = path
    .split('/')
    .at(-1)!
    .replace(/\.tsx?$/, '')
    .split('.');
  return /^[a-z0-9]+(-[a-z0-9]+)*$/.test(noun ?? '') && suffixes.every((suffix) => roles.includes(suffix));
}
