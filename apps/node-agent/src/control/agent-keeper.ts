/**
 * Starts the agent again when it is killed. A shell of its own holds one end of a pipe, the agent the other: it wakes
 * when the agent is gone, however that went, and costs nothing while it waits. From then on the agents it starts are
 * its children. The agent in turn starts a keeper again that was killed.
 *
 * `run/keeper` names the keeper at work. An agent that ends on purpose removes it first, and the keeper ends too.
 */
import { spawn } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { identityOf, isAlive, parseIdentity, type ProcessIdentity } from '../runtime/process/process-table';
import { installScript } from '../runtime/process/shim';
import { LOCKED_EXIT_CODE } from './agent-lock';

const LOOK_EVERY_MS = 2_000;

/** Pauses of 1 s, doubling to 60 s; ten minutes of life reset them, as for every other process. */
const keeperScript = `#!/bin/sh
# Alto keeper. Usage: keeper RECORD COMMAND [ARGUMENT...]
record=$1
shift

at_work() {
  read -r pid rest 2>/dev/null <"$record" && [ "$pid" = "$$" ]
}

IFS= read -r word
pause=1
while at_work; do
  command -p sleep "$pause"
  at_work || exit 0
  since=$(command -p date +%s)
  "$@" </dev/null
  [ $? = ${LOCKED_EXIT_CODE} ] && exit 0
  pause=$((pause * 2))
  [ "$pause" -gt 60 ] && pause=60
  [ $(($(command -p date +%s) - since)) -ge 600 ] && pause=1
done
`;

export interface AgentKeeperOptions {
  /** `run/keeper`. */
  record: string;
  /** Where the script is put. */
  scripts: string;
  /** How an agent is started; as this one was. */
  command: readonly string[];
}

export class AgentKeeper {
  private timer: NodeJS.Timeout | undefined;
  /** Open as long as this process lives. */
  private pipe: Socket | undefined;

  constructor(private readonly options: AgentKeeperOptions) {}

  async start(): Promise<void> {
    const script = await installScript(this.options.scripts, 'keeper', keeperScript);
    this.ensure(script);
    this.timer = setInterval(() => this.ensure(script), LOOK_EVERY_MS).unref();
  }

  /** The agent ends on purpose. The keeper would see that by itself, but a little later. */
  dismiss(): void {
    clearInterval(this.timer);
    const keeper = this.atWork();
    rmSync(this.options.record, { force: true });
    if (keeper && isAlive(keeper)) process.kill(keeper.pid, 'SIGKILL');
  }

  private ensure(script: string): void {
    const keeper = this.atWork();
    if (keeper && isAlive(keeper)) return;
    const { record, command } = this.options;
    // Its output, and that of the agents it starts, goes where this agent's goes.
    const child = spawn('/bin/sh', [script, record, ...command], {
      stdio: ['pipe', 'inherit', 'inherit'],
      detached: true,
    });
    child.on('error', () => undefined); // tried again at the next look
    child.unref();
    this.pipe?.destroy();
    this.pipe = child.stdin as Socket;
    this.pipe.on('error', () => undefined).unref(); // it was killed
    const identity = child.pid === undefined ? undefined : identityOf(child.pid);
    if (!identity) return;
    writeFileSync(`${record}.new`, `${identity.pid} ${identity.started} ${identity.boot}\n`, { mode: 0o600 });
    renameSync(`${record}.new`, record);
  }

  private atWork(): ProcessIdentity | undefined {
    try {
      return parseIdentity(readFileSync(this.options.record, 'utf8'));
    } catch {
      return undefined; // none was started yet
    }
  }
}
