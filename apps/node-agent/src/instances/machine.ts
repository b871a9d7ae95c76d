import type { NodeAgentConfig } from '../config';
import type { DataDirectory } from '../data-directory';
import { publicPortsOf } from '../sandbox/open-sandbox';
import type { Machine } from './instance-workload';

/** @param nodePath folders with the Node that Alto runs on, as in PATH */
export function machineOf(config: NodeAgentConfig, directory: DataDirectory, nodePath: string): Machine {
  return {
    instancesFolder: directory.instances,
    nodePath,
    ip: config.ALTO_NODE_IP,
    publicPorts: publicPortsOf(config, directory),
    cpuBurstMillis: config.ALTO_INSTANCE_CPU_BURST_MILLIS,
    processesMax: config.ALTO_INSTANCE_PROCESSES_MAX,
    logBytesPerSecond: config.ALTO_INSTANCE_LOG_BYTES_PER_SECOND,
  };
}
