import { SystemClock } from '@alto/platform';
import { runtimeConformance } from './runtime.conformance';
import { scriptedCommand, ScriptedRuntime } from './scripted-runtime';

runtimeConformance('ScriptedRuntime', async () => {
  const runtime = new ScriptedRuntime(new SystemClock());
  return {
    runtime,
    launch: (id, script) => ({ id, command: scriptedCommand(script), env: {}, cwd: '/' }),
    reopen: async () => new ScriptedRuntime(new SystemClock(), runtime.world),
    dispose: async () => undefined,
  };
});
