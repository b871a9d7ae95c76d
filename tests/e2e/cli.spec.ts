/** The command as people use it: typed into a shell, against a whole Alto, from the first deployment to the last delete. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'node:http';
import { type Alto, eventually, startAlto } from '@alto/testing';
import { Terminal } from './cli/terminal';
import { installPrograms } from './debian';

const folder = mkdtempSync(join(tmpdir(), 'alto-cli-'));

let alto: Alto;
let terminal: Terminal;

/** Answers with what it knows of itself, and says what it was asked for. */
const program = `
import { createServer } from 'node:http';
const { ALTO_INSTANCE: instance, VERSION: version, TOKEN: token } = process.env;
createServer(({ url, headers }, response) => {
  if (url !== '/healthz') console.log('asked for ' + url);
  response.end(JSON.stringify({ instance, version, token, url, header: headers['x-added'] }));
}).listen(process.env.PORT, process.env.HOST);
process.on('SIGTERM', () => process.exit(0));
`;

function writeApp(name: string, lines: readonly string[]): void {
  const app = join(folder, name);
  mkdirSync(app, { recursive: true });
  const always = [`name: ${name}`, 'command: [node, server.mjs]', 'healthyMs: 300', 'readiness: { path: /healthz }'];
  const keys = new Set(lines.map((line) => line.split(':')[0]));
  const kept = always.filter((line) => !keys.has(line.split(':')[0]));
  writeFileSync(join(app, 'alto.yaml'), `${[...kept, ...lines].join('\n')}\n`);
  writeFileSync(join(app, 'server.mjs'), program);
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: { instance?: string; version?: string; token?: string; url?: string; header?: string };
}

function ask(host: string, path = '/'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(`${alto.appsUrl}${path}`, { headers: { host } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, headers, body: text.startsWith('{') ? (JSON.parse(text) as Answer['body']) : {} });
      });
    })
      .on('error', reject)
      .end();
  });
}

beforeAll(async () => {
  // Apps may run as a user of their own.
  chmodSync(folder, 0o755);
  alto = await startAlto();
  terminal = new Terminal(alto, folder);
}, 300_000);

afterAll(async () => {
  terminal?.close();
  await alto?.stop();
  rmSync(folder, { recursive: true, force: true });
}, 300_000);

const host = 'echo.default.localhost';

describe('deploy', () => {
  it('shows what it would do, and does nothing, with --dry-run', async () => {
    writeApp('echo', ['replicas: 2', "env: { VERSION: 'one' }"]);
    expect(await terminal.typeWell('alto deploy echo --dry-run')).toMatch(/2 instances/);
    expect(await terminal.typeWell('alto deploy echo --dry-run --replicas 900')).toMatch(/would wait: .*CPU/);
    expect(await terminal.typeWell('alto apps list')).not.toContain('echo');
  }, 300_000);

  it('tells of each instance and ends with 0 once all serve', async () => {
    const printed = await terminal.typeWell('alto deploy echo');
    expect(printed).toMatch(/…\w{6} revision 1: /);
    expect(printed).toMatch(/echo +running +2\/2 +1 /);
    expect((await ask(host)).body).toMatchObject({ version: 'one' });
  }, 300_000);

  it('says of a change which revision it would bring', async () => {
    writeApp('echo', ['replicas: 2', "env: { VERSION: 'two' }"]);
    expect(await terminal.typeWell('alto deploy echo --dry-run')).toMatch(/revision 2/);
    expect((await ask(host)).body).toMatchObject({ version: 'one' });
  }, 300_000);

  it('ends with 6 and the last words of the app when the old version runs again', async () => {
    writeApp('echo', ['replicas: 2', `command: [node, -e, "console.log('no such table'); process.exit(3)"]`]);
    const { code, complaint } = await terminal.type('alto deploy echo');
    expect(complaint).toMatch(/back at what ran before: .*crashed 3 times[\s\S]*no such table[\s\S]*alto logs echo/);
    expect(code).toBe(6);
    expect((await ask(host)).body).toMatchObject({ version: 'one' });
  }, 300_000);

  it('ends with 1 and the last words of an app that never ran', async () => {
    writeApp('broken', [`command: [node, -e, "console.log('no such file'); process.exit(3)"]`]);
    const { code, complaint } = await terminal.type('alto deploy broken');
    expect(complaint).toMatch(/crashed[\s\S]*no such file[\s\S]*alto logs broken/);
    expect(code).toBe(1);
    await terminal.typeWell('alto delete broken');
  }, 300_000);

  it('ends with 2 and each field at fault when alto.yaml is wrong', async () => {
    writeApp('wrong', ['replicas: three', 'readyness: { path: / }']);
    const { code, complaint } = await terminal.type('alto deploy wrong');
    expect(complaint).toMatch(/alto\.yaml/);
    expect(complaint).toMatch(/replicas/);
    expect(complaint).toMatch(/readyness/);
    expect(code).toBe(2);
  }, 300_000);

  it('interrupted, ends with 130, and the deployment goes on', async () => {
    writeApp('slow', ['command: [node, -e, "setInterval(() => {}, 1000)"]']);
    const deploying = terminal.follow('alto deploy slow 2>&1');
    await eventually(() => expect(deploying.screen).toMatch(/revision 1: /), { withinMs: 60_000 });
    expect(await deploying.interrupt()).toBe(130);
    expect(deploying.screen).toMatch(/Interrupted\. Alto goes on deploying slow\.[\s\S]*alto apps show slow/);
    expect(await terminal.typeWell('alto apps show slow')).toMatch(/starting/);
    await terminal.typeWell('alto delete slow');
  }, 300_000);

  it('takes a host from another app only once the new one is ready', async () => {
    await terminal.typeWell('alto routes put taken --host taken.test --app echo');
    await eventually(async () => expect((await ask('taken.test')).body).toMatchObject({ version: 'one' }));
    writeApp('taker', [`command: [node, -e, 'process.exit(3)']`]);
    expect(await terminal.typeWell('alto deploy taker --host taken.test --dry-run')).toMatch(
      /taken\.test will lead to taker instead of echo/,
    );
    expect((await terminal.type('alto deploy taker --host taken.test')).code).toBe(1);
    expect((await ask('taken.test')).body).toMatchObject({ version: 'one' });
    writeApp('taker', ["env: { VERSION: 'taken' }"]);
    await terminal.typeWell('alto deploy taker --host taken.test');
    await eventually(async () => expect((await ask('taken.test')).body).toMatchObject({ version: 'taken' }));
    await terminal.typeWell('alto routes delete taken');
    await terminal.typeWell('alto delete taker');
  }, 300_000);

  it('ends with 3 for a key that may not', async () => {
    const key = JSON.parse(await terminal.typeWell('alto keys create --name look --role viewer --json')) as {
      key: string;
    };
    const { code, complaint } = await terminal.type(`ALTO_API_KEY=${key.key} alto deploy echo`);
    expect(complaint).toMatch(/viewer/);
    expect(code).toBe(3);
  }, 300_000);
});

describe('logs -f', () => {
  it('shows what every replica says, each by its name, also of those that come later', async () => {
    const following = terminal.follow('alto logs echo -f');
    const names = (path: string) =>
      new Set(following.lines.filter((line) => line.endsWith(`asked for ${path}`)).map((line) => line.split(' ')[0]));
    // After quick changes HAProxy may leave an instance out for some hundred requests.
    const askOften = (path: string) => Promise.all(Array.from({ length: 10 }, () => ask(host, path)));
    await eventually(
      async () => {
        await askOften('/before');
        expect(names('/before').size).toBe(2);
      },
      { withinMs: 60_000, everyMs: 100 },
    );
    for (const name of names('/before')) expect(name).toMatch(/^echo\.\w{6}$/);
    await terminal.typeWell('alto restart echo');
    await eventually(
      async () => {
        await askOften('/after');
        expect(names('/after').size).toBe(2);
      },
      { withinMs: 60_000, everyMs: 100 },
    );
    expect([...names('/after')].filter((name) => names('/before').has(name))).toEqual([]);
    expect(await following.interrupt()).toBe(0);
  }, 300_000);
});

describe('rollouts', () => {
  it('go back to any revision by its number', async () => {
    for (const text of ['one', 'two', 'three']) {
      writeApp('back', [`env: { VERSION: '${text}' }`]);
      await terminal.typeWell('alto deploy back');
    }
    await terminal.typeWell('alto rollback back --to 1');
    expect((await ask('back.default.localhost')).body).toMatchObject({ version: 'one' });
    expect(JSON.parse(await terminal.typeWell('alto apps show back --json'))).toMatchObject({ app: { revision: 1 } });
    await terminal.typeWell('alto delete back');
  }, 300_000);

  it('are listed with how they went, and tell of one that failed what its instance said last', async () => {
    const printed = await terminal.typeWell('alto rollouts echo');
    expect(printed).toMatch(/rolled_back .*crashed 3 times/);
    expect(printed).toMatch(/completed/);
    const failed = /^(\d+) +rolled_back/m.exec(printed)?.[1];
    expect(await terminal.typeWell(`alto rollouts echo ${failed}`)).toMatch(/said last:\n +\| no such table/);
  }, 300_000);
});

describe('secrets', () => {
  it('reach the app, are changed, come back with a rollback, and are never shown', async () => {
    expect(await terminal.typeWell("printf 'first value' | alto secrets set TOKEN")).toMatch(/TOKEN is set, version 1/);
    writeApp('echo', ['replicas: 1', 'secrets: [TOKEN]', "env: { VERSION: 'three' }"]);
    await terminal.typeWell('alto deploy echo');
    expect((await ask(host)).body).toMatchObject({ version: 'three', token: 'first value' });

    await terminal.typeWell("printf 'second value' | alto secrets set TOKEN");
    await eventually(async () => expect((await ask(host)).body.token).toBe('second value'), { withinMs: 60_000 });
    await terminal.typeWell('alto rollback echo');
    expect((await ask(host)).body).toMatchObject({ version: 'three', token: 'first value' });

    const shown = await Promise.all(
      ['secrets list', 'apps show echo', 'apps revisions echo', 'rollouts echo'].map((words) =>
        terminal.typeWell(`alto ${words} --json`),
      ),
    );
    expect(shown.join()).toContain('TOKEN');
    expect(shown.join()).not.toMatch(/first value|second value/);
  }, 300_000);

  it('are not deleted while an app uses them, and it is said which', async () => {
    const { code, complaint } = await terminal.type('alto secrets delete TOKEN');
    expect(complaint).toMatch(/TOKEN.*echo/s);
    expect(code).toBe(1);
  }, 300_000);
});

describe('routes', () => {
  beforeAll(async () => {
    writeApp('next', ["env: { VERSION: 'next' }"]);
    await terminal.typeWell('alto deploy next');
  }, 300_000);

  it('lead paths, shares and headers to apps, and redirect', async () => {
    for (const route of [
      'main --host shop.test --app echo',
      'api --host shop.test --path /api --app next',
      'shares --host shares.test --app echo=50 next=50',
      'old --host old.test --redirect https://new.test --status 308 --keep-path',
      "headers --host headers.test --app next --request-header 'X-Added: by the route' --response-header 'X-Frame-Options: DENY'",
    ])
      expect(await terminal.typeWell(`alto routes put ${route}`)).toMatch(/→/);

    await eventually(async () => expect((await ask('headers.test')).status).toBe(200));
    expect((await ask('shop.test', '/')).body).toMatchObject({ version: 'three' });
    expect((await ask('shop.test', '/api/items')).body).toMatchObject({ version: 'next', url: '/api/items' });
    const shares = new Set<string | undefined>();
    await eventually(async () => {
      shares.add((await ask('shares.test')).body.version);
      expect(shares).toEqual(new Set(['three', 'next']));
    });
    expect(await ask('old.test', '/page?query=1')).toMatchObject({
      status: 308,
      headers: { location: 'https://new.test/page?query=1' },
    });
    expect(await ask('headers.test')).toMatchObject({
      headers: { 'x-frame-options': 'DENY' },
      body: { header: 'by the route' },
    });
  }, 300_000);

  it('are listed, explained by target, and deleted', async () => {
    expect(await terminal.typeWell('alto routes')).toMatch(/shares +shares\.test +echo \(50\), next \(50\) +/);
    expect(await terminal.typeWell('alto routes show api')).toMatch(/ins_\w+ +[\d.]+:\d+ +\w+/);
    await terminal.typeWell('alto routes delete old');
    await eventually(async () => expect((await ask('old.test')).status).toBe(404));
  }, 300_000);
});

describe('completion', () => {
  const shells: readonly [shell: string, start: string, reason: string | undefined][] = [
    ['bash', 'bash --norc --noprofile -i', undefined],
    ['zsh', 'zsh -f -i', installPrograms(['zsh'], ['zsh'])],
  ];

  for (const [shell, start, reason] of shells) {
    const run = reason === undefined ? it : it['skip'];
    run(
      `completes commands, options and names in ${shell}${reason === undefined ? '' : ` (left out: ${reason})`}`,
      async () => {
        await terminal.typeWell(`alto completion ${shell} > ${shell}-completion`);
        const session = terminal.shell(start);
        session.press(`. ./${shell}-completion && echo re'ady'\n`);
        await eventually(() => session.screen.includes('ready'), { withinMs: 60_000 });
        for (const [keys, completed] of [
          ['alto roll\tb\t', 'alto rollback'],
          ['alto deploy --dr\t', 'alto deploy --dry-run'],
          ['alto apps show ec\t', 'alto apps show echo'],
          ['alto secrets delete TO\t', 'alto secrets delete TOKEN'],
        ]) {
          // Ctrl-A: the line is printed instead of run.
          session.press(`${keys}\x01echo line: \n`);
          const printed = new RegExp(`[\\r\\n]line: ${completed} ?[\\r\\n]`);
          await eventually(() => expect(session.screen).toMatch(printed), { withinMs: 60_000 });
        }
        session.press('exit\n');
      },
      90_000,
    );
  }
});

describe('a mistake', () => {
  it.each([
    ['alto apps show ecko', 4, /no app ecko[\s\S]*`\.\/alto apps list`/],
    ['alto --project nowhere apps', 4, /no such project[\s\S]*`\.\/alto projects list`/],
    ['alto rollback echo --to 99', 4, /revision 99[\s\S]*`\.\/alto apps revisions <app>`/],
    ['alto deplo echo', 2, /Did you mean deploy/],
    ['alto scale echo many', 2, /whole number/],
    ['alto deploy nowhere', 2, /no folder .*nowhere/],
    ['alto quotas set apples=1', 2, /apples=1: must be <quota>=<number>/],
    ['alto logs --workload nothing.0', 4, /no workload nothing\.0[\s\S]*`\.\/alto status`/],
    ['ALTO_API_KEY=nonsense alto apps', 3, /key/],
    ['alto --url http://127.0.0.1:9 apps', 3, /no API key[\s\S]*`\.\/alto login --url <url>`/],
    ['alto --data-dir nowhere status', 5, /No Alto runs on this machine[\s\S]*`\.\/alto up`/],
    ['ALTO_API_KEY=any alto --url http://127.0.0.1:9 apps', 5, /cannot be reached at http:\/\/127\.0\.0\.1:9/],
    ['ALTO_API_KEY=any alto --url http://127.0.0.1:9 events', 5, /cannot be reached at http:\/\/127\.0\.0\.1:9/],
    ['alto deplo echo --json', 2, /^\{\s+"error": \{\s+"detail": "unknown command 'deplo'/],
    ['alto nodes token --node nowhere', 4, /no node nowhere[\s\S]*`\.\/alto nodes list`/],
  ])('%s ends with %d and says what to do', async (typed, expected, said) => {
    const { code, printed, complaint } = await terminal.type(typed);
    expect(complaint).toMatch(said);
    expect({ code, printed }).toEqual({ code: expected, printed: '' });
  });

  it('in an app whose port is never opened is told as such', async () => {
    writeApp('deaf', ['command: [node, -e, "setInterval(() => {}, 1000)"]', 'readiness: { deadlineMs: 5000 }']);
    const { code, complaint } = await terminal.type('alto deploy deaf');
    expect(complaint).toMatch(/not ready within 5 s[\s\S]*nothing listens on .*\$PORT/);
    expect(code).toBe(1);
    await terminal.typeWell('alto delete deaf');
  }, 300_000);
});

describe('delete', () => {
  it('ends once the app is gone', async () => {
    expect(await terminal.typeWell('alto delete next')).toContain('next is gone.');
    expect(await terminal.typeWell('alto apps')).not.toContain('next');
    expect((await terminal.type('alto delete next')).code).toBe(4);
  }, 300_000);

  it('lets a secret be deleted that nothing uses any more', async () => {
    await terminal.typeWell('alto delete echo');
    expect(await terminal.typeWell('alto secrets delete TOKEN')).toContain('TOKEN is deleted.');
    expect(await terminal.typeWell('alto secrets')).toContain('has no secrets');
    expect(await terminal.typeWell('alto apps')).toContain('has no apps yet');
  }, 300_000);

  it('is in the events of the last hour', async () => {
    expect(await terminal.typeWell('alto events')).toMatch(/compute\.apps\.created[\s\S]*compute\.apps\.deleted/);
  }, 300_000);
});
