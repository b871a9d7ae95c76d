/** The whole command without an Alto: what is typed goes to a client and an agent that a test scripts. */
import type { Operation } from '@alto/contracts';
import type { AltoClient } from '@alto/sdk';
import type { LocalAgent } from './local/agent';
import { Output } from './output';
import { runWith } from './program';
import { Session } from './session';

type Answer = (input: Record<string, unknown>) => unknown;

export interface Script {
  /** Noun and verb of an operation, e.g. `apps.list` → what the API answers, or throws. */
  api?: Readonly<Record<string, Answer>>;
  /** Method of the agent → what it answers. */
  agent?: Readonly<Record<string, (...args: never[]) => unknown>>;
  /** Of the terminal; unless given there is none. */
  columns?: number;
}

export interface Ended {
  code: number;
  /** Standard output. */
  printed: string;
  /** Standard error. */
  complaint: string;
}

class FakeSession extends Session {
  constructor(private readonly script: Script) {
    super({ HOME: '/nonexistent' });
  }

  override get agent(): LocalAgent {
    return (this.script.agent ?? {}) as unknown as LocalAgent;
  }

  override client(interrupted?: AbortSignal): Promise<AltoClient> {
    const { api = {} } = this.script;
    const call = async (name: string, input: Record<string, unknown>): Promise<unknown> => {
      const answer = api[name];
      if (answer === undefined) throw new Error(`The test says nothing of ${name}.`);
      const said = await Promise.resolve(answer(input));
      interrupted?.throwIfAborted();
      return said;
    };
    const perform = ({ noun, verb }: Operation, input: Record<string, unknown>) => call(`${noun}.${verb}`, input);
    const own = {
      call: perform,
      download: perform,
      follow: async function* (options: Record<string, unknown>) {
        yield* (await call('follow', options)) as unknown[];
      },
      listAll: async function* (operation: Operation, input: Record<string, unknown>) {
        yield* (await perform(operation, input)) as unknown[];
      },
    };
    return Promise.resolve(withNouns(own, call) as unknown as AltoClient);
  }
}

/** With `client.apps.get(input)` for every noun and verb. */
function withNouns(own: object, call: (name: string, input: Record<string, unknown>) => Promise<unknown>): object {
  const verbsOf = (noun: string) =>
    new Proxy({}, { get: (_, verb) => (input: Record<string, unknown>) => call(`${noun}.${String(verb)}`, input) });
  return new Proxy(own, {
    get: (target, noun) => {
      // A promise asks whether it is one.
      if (noun === 'then' || noun in target) return (target as Record<string | symbol, unknown>)[noun];
      return verbsOf(String(noun));
    },
  });
}

export async function type(typed: string, script: Script): Promise<Ended> {
  const ended: Ended = { code: 0, printed: '', complaint: '' };
  const argv = typed.split(' ').slice(1);
  const out = { write: (text: string) => (ended.printed += text), isTTY: script.columns !== undefined };
  const err = { write: (text: string) => (ended.complaint += text) };
  const output = new Output({ ...out, columns: script.columns }, err, argv.includes('--json'));
  ended.code = await runWith(new FakeSession(script), output, argv);
  return ended;
}
