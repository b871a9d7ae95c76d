/** One log out of many: lines in order of time, each instance's own order kept. */
import type { LogLine } from '@alto/contracts';

/** A line without a time stays behind the one before it of the same instance. */
export function mergeLines(logs: readonly (readonly LogLine[])[]): LogLine[] {
  const lastTimes = new Map<string, string>();
  const dated = logs.flat().map((line, index) => {
    const time = line.time ?? lastTimes.get(line.instance) ?? '';
    lastTimes.set(line.instance, time);
    return { line, time, index };
  });
  dated.sort((a, b) => (a.time === b.time ? a.index - b.index : a.time < b.time ? -1 : 1));
  return dated.map(({ line }) => line);
}
