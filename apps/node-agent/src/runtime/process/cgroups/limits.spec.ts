import { separateSettings, unifiedSettings } from './limits';

const limits = {
  memoryBytes: 67_108_864,
  cpuMillis: 250,
  cpuMillisMax: 1_000,
  processesMax: 512,
  logBytesPerSecond: 1 << 20,
};

describe('limits as the kernel takes them', () => {
  it('bounds memory together with swap, in cgroup 1 and 2', () => {
    expect(separateSettings('memory', limits)).toEqual([
      ['memory.limit_in_bytes', '67108864'],
      ['memory.memsw.limit_in_bytes', '67108864'],
    ]);
    expect(unifiedSettings('memory', limits)).toEqual([
      ['memory.max', '67108864'],
      ['memory.swap.max', '0'],
    ]);
  });

  it('gives CPU by share where it is short, and never more than the most', () => {
    expect(separateSettings('cpu', limits)).toEqual([
      ['cpu.shares', '256'],
      ['cpu.cfs_period_us', '100000'],
      ['cpu.cfs_quota_us', '100000'],
    ]);
    expect(unifiedSettings('cpu', limits)).toEqual([
      ['cpu.weight', '25'],
      ['cpu.max', '100000 100000'],
    ]);
  });

  it('writes nothing that the kernel refuses for the smallest and the largest app', () => {
    const smallest = { ...limits, cpuMillis: 1, cpuMillisMax: 1 };
    expect(separateSettings('cpu', smallest).map(([, value]) => value)).toEqual(['2', '100000', '1000']);
    expect(unifiedSettings('cpu', { ...limits, cpuMillis: 256_000 })[0]).toEqual(['cpu.weight', '10000']);
  });

  it('bounds the number of processes alike', () => {
    expect(separateSettings('pids', limits)).toEqual(unifiedSettings('pids', limits));
  });
});
