/**
 * {@link ProxyEngine} on HAProxy. The files come first and are enough for HAProxy to start from; the running HAProxy
 * follows over its sockets. Apps, instances and routes change nothing but slots and a map, so only a change of the
 * configuration's structure (ports, targets of a service, more backends or slots) needs a reload.
 */
import { execFile } from 'node:child_process';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Log } from '@alto/platform';
import { readIfThere, replaceFile } from '../durable-file';
import type { Applied, EndpointTraffic, ProxyEngine, ProxySpec, TargetReport } from '../proxy/proxy.engine';
import { type Configuration, type HaproxySettings, render } from './configuration';
import { arrange, type Backend, emptyLayout, isEnding, type Layout, lostLayout } from './layout';
import { mapFiles, type MapName, mapNames } from './maps';
import { slotName } from './place-names';
import { readLayout, writeLayout } from './layout-file';
import { type EndingConnections, HaproxyRuntime, oldProcessQuietMs, socketsIn } from './runtime';
import type { ProcessInfo, SlotConnections } from './runtime-state';
import { SocketError } from './socket';
import { targetsIn } from './targets';
import { TrafficCounts } from './traffic-counts';
import { WriterLock } from './writer-lock';

export interface HaproxyOptions {
  /** Program that checks a configuration before it replaces the last good one. */
  readonly command: string;
  readonly folder: string;
  /** Folder of admin.sock and master.sock. */
  readonly runFolder: string;
  readonly settings: Omit<HaproxySettings, 'adminSocket' | 'frontStateFile'>;
}

/** A HAProxy that is starting may have read the files before they were replaced; after this long it would serve. */
const startWithinMs = 5_000;
const reloadEveryMs = 2_000;
const fullCheckEveryMs = 30_000;
const checkTimeoutMs = 20_000;
const noFrontState = '1\n';

/** What the files hold. */
interface Written {
  readonly layout: string;
  readonly maps: Readonly<Record<MapName, string>>;
  readonly text: string;
}

export class HaproxyEngine implements ProxyEngine {
  private written: Written;
  private absentSinceMs = performance.now();
  private absent = false;
  private reloadedAtMs = Number.NEGATIVE_INFINITY;
  private fullCheckAtMs = Number.NEGATIVE_INFINITY;
  private known: ProcessInfo | undefined;
  /** The layout that HAProxy has taken in whole. */
  private followed: Layout | undefined;
  /** They have requests in flight of which nobody can be asked. */
  private oldProcesses: readonly number[] = [];
  private readonly counts = new TrafficCounts();
  private readonly runtime: HaproxyRuntime;
  private readonly settings: HaproxySettings;

  private constructor(
    private readonly options: HaproxyOptions,
    private readonly log: Log,
    private readonly lock: WriterLock,
    private layout: Layout,
    written: Written,
  ) {
    this.written = written;
    this.settings = {
      ...options.settings,
      adminSocket: socketsIn(options.runFolder).adminSocket,
      frontStateFile: this.path('front.state'),
    };
    this.runtime = new HaproxyRuntime(socketsIn(options.runFolder));
  }

  /** @throws AnotherWriterError while another process writes the folder */
  static async open(options: HaproxyOptions, log: Log): Promise<HaproxyEngine> {
    const lock = await WriterLock.take(options.folder);
    try {
      await mkdir(join(options.folder, 'maps'), { recursive: true, mode: 0o700 });
      await mkdir(options.runFolder, { recursive: true, mode: 0o700 });
      const read = async (name: string) => (await readIfThere(join(options.folder, name))) ?? '';
      const written = {
        layout: await read('layout.json'),
        maps: {
          routes: await read(mapFiles.routes),
          splits: await read(mapFiles.splits),
          headers: await read(mapFiles.headers),
        },
        text: await read('haproxy.cfg'),
      };
      const layout = await openLayout(options.folder, written.layout, log);
      return new HaproxyEngine(options, log, lock, layout, written);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  async apply(spec: ProxySpec): Promise<Applied> {
    // Whoever wrote the layout may have ended before HAProxy took it: such a slot may get a request at any moment.
    const before = this.followed === this.layout ? await this.runtime.endingConnections(this.layout) : undefined;
    const { layout, unplaced } = arrange(this.layout, spec, (number, index) => isUnused(before, number, index));
    const configuration = render(this.settings, layout);
    const refused = await this.write(layout, configuration);
    if (refused !== undefined) return { settled: false, reason: refused };
    this.layout = layout;
    const reason = await this.follow(configuration);
    this.followed = reason === '' ? layout : undefined;
    const busy = reason === '' && this.oldProcesses.length === 0 ? await this.busy() : undefined;
    const words = [reason, ...unplaced].filter((text) => text !== '').join(' ');
    return { settled: reason === '', reason: words, ...(busy !== undefined && { busy }) };
  }

  targets(pool: string): Promise<TargetReport[]> {
    return targetsIn(this.layout, this.runtime, pool);
  }

  async traffic(): Promise<readonly EndpointTraffic[]> {
    try {
      const running = await this.runtime.process();
      if (running === undefined) return this.counts.all();
      const counters = await this.runtime.counters();
      return this.counts.look(`${running.pid} ${running.startedAt}`, this.layout, counters);
    } catch (error) {
      if (error instanceof SocketError) return this.counts.all();
      throw error;
    }
  }

  close(): Promise<void> {
    this.lock.release();
    return Promise.resolve();
  }

  private async busy(): Promise<string[] | undefined> {
    const connections = await this.runtime.endingConnections(this.layout);
    return connections && [...connections].flatMap(([number, slots]) => busyIn(this.layout.backends[number]!, slots));
  }

  /** Layout first and configuration last: see {@link arrange} for why no order of crashes leads a host astray. */
  private async write(layout: Layout, { text, maps, structure }: Configuration): Promise<string | undefined> {
    if (!this.written.text.includes(`structure=${structure}\n`)) {
      const refused = await this.check(text);
      if (refused !== undefined) return refused;
    }
    const fresh = { layout: writeLayout(layout), maps, text };
    if (fresh.layout !== this.written.layout) await replaceFile(this.path('layout.json'), fresh.layout);
    for (const name of mapNames) {
      if (maps[name] !== this.written.maps[name]) await replaceFile(this.path(mapFiles[name]), maps[name]);
    }
    if (fresh.text !== this.written.text) {
      await replaceFile(this.path('haproxy.cfg'), fresh.text);
      this.absentSinceMs = performance.now();
    }
    this.written = fresh;
    return undefined;
  }

  /** @returns why HAProxy would not take this configuration, or undefined when it would */
  private async check(text: string): Promise<string | undefined> {
    for (const file of Object.values(mapFiles)) await writeFile(this.path(file), '', { flag: 'a', mode: 0o600 });
    await writeFile(this.settings.frontStateFile, noFrontState, { mode: 0o600 });
    const candidate = this.path('haproxy.cfg.candidate');
    await writeFile(candidate, text, { mode: 0o600 });
    try {
      await promisify(execFile)(this.options.command, ['-c', '-f', candidate], { timeout: checkTimeoutMs });
      return undefined;
    } catch (error) {
      const { code, stderr, message } = error as { code?: unknown; stderr?: string; message: string };
      if (code === 'ENOENT') {
        this.log.warn('The new configuration of HAProxy is not checked before its use: the program is not here', {
          command: this.options.command,
        });
        return undefined;
      }
      return `HAProxy refuses its new configuration and keeps the last good one: ${alertOf(stderr ?? message)}`;
    } finally {
      await rm(candidate, { force: true });
    }
  }

  /** @returns what keeps the running HAProxy from having settled; nothing when it has */
  private async follow(configuration: Configuration): Promise<string> {
    try {
      const running = await this.runtime.process();
      if (running === undefined) return await this.whileAbsent();
      this.absent = false;
      const pending = await this.reloadIfNeeded(running, configuration);
      const serving = await this.runtime.process();
      const left = await this.converge(serving);
      if (pending !== '' || left !== '') return [pending, left].filter((text) => text !== '').join(' ');
      this.oldProcesses = await this.runtime.oldProcesses();
      return this.oldProcesses.length === 0 || (serving?.uptimeMs ?? 0) > oldProcessQuietMs
        ? ''
        : `HAProxy was reloaded, and its old processes (${this.oldProcesses.join(', ')}) may still begin requests for some seconds.`;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Without any HAProxy nothing is sent anywhere, and one that starts reads the files as they are now. */
  private async whileAbsent(): Promise<string> {
    if (!this.absent) {
      this.absent = true;
      this.absentSinceMs = performance.now();
    }
    if (await this.runtime.masterRuns()) return 'HAProxy is starting.';
    return performance.now() - this.absentSinceMs < startWithinMs ? 'HAProxy does not run.' : '';
  }

  private async reloadIfNeeded(running: ProcessInfo, { structure }: Configuration): Promise<string> {
    if (running.structure === structure) return '';
    if (performance.now() - this.reloadedAtMs < reloadEveryMs) return 'HAProxy is to be reloaded in a moment.';
    this.reloadedAtMs = performance.now();
    this.log.info('Reloading HAProxy', { from: running.structure, to: structure });
    await replaceFile(this.settings.frontStateFile, await this.frontState());
    try {
      await this.runtime.reload(structure);
    } finally {
      // What is known of the services' instances now is wrong when HAProxy is started some other day.
      await replaceFile(this.settings.frontStateFile, noFrontState);
    }
    return '';
  }

  /** Health of the services' instances, so that the new process need not find out which of them serve. */
  private async frontState(): Promise<string> {
    const names = new Set(this.settings.services.map(({ name }) => `${name}_instances`));
    const lines = (await this.runtime.serversState()).split('\n');
    const kept = lines.filter((line, index) => index < 2 || names.has(line.split(' ')[1] ?? ''));
    return `${kept.join('\n')}\n`;
  }

  private async converge(running: ProcessInfo | undefined): Promise<string> {
    const now = performance.now();
    const fresh = running?.pid !== this.known?.pid || running?.startedAt !== this.known?.startedAt;
    const all = fresh || now - this.fullCheckAtMs > fullCheckEveryMs;
    const { commands, left, said } = await this.runtime.converge(this.layout, all);
    if (commands > 0) this.log.debug('Changed the running HAProxy', { commands });
    if (left.length > 0) {
      this.log.warn('HAProxy did not take every change', { left: left.slice(0, 10), said: said.slice(0, 1_000) });
      return `HAProxy did not take ${left.length} changes, the first: ${left[0]}.`;
    }
    this.known = running;
    if (all) this.fullCheckAtMs = now;
    return '';
  }

  private path(name: string): string {
    return join(this.options.folder, name);
  }
}

/** Unused as far as is known: a slot about which HAProxy says nothing may be in use. */
function isUnused(connections: EndingConnections | undefined, backend: number, index: number): boolean {
  const slot = connections?.get(backend)?.get(slotName(index));
  return slot !== undefined && slot.used + slot.idle === 0;
}

function busyIn({ slots }: Backend, connections: ReadonlyMap<string, SlotConnections>): string[] {
  return slots.flatMap((slot, index) =>
    isEnding(slot) && (connections.get(slotName(index))?.used ?? 0) > 0 ? [slot.id] : [],
  );
}

function alertOf(output: string): string {
  const alerts = output.split('\n').filter((line) => line.startsWith('[ALERT]'));
  return (alerts[0] ?? output).slice(0, 1_000);
}

/** A layout that cannot be read is set aside: everything gets a place anew. */
async function openLayout(folder: string, text: string, log: Log): Promise<Layout> {
  if (text === '') return emptyLayout;
  try {
    return readLayout(text);
  } catch (error) {
    const aside = join(folder, 'layout.json.unreadable');
    await rename(join(folder, 'layout.json'), aside);
    log.error('The layout of HAProxy could not be read; it is set aside and made anew', { aside, error });
    return lostLayout;
  }
}
