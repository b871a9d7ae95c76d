import { parseHierarchies } from './hierarchies';

const always = () => true;

describe('parseHierarchies', () => {
  it('finds each hierarchy of cgroup 1, also those mounted together', () => {
    const mounts = [
      '33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct',
      '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
      '36 31 0:33 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids',
      '37 31 0:34 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
    ].join('\n');
    const own = '8:pids:/\n4:memory:/session/a b\n2:cpu,cpuacct:/\n0::/user.slice';
    const { separate, unified } = parseHierarchies(mounts, own, always);
    expect(Object.fromEntries([...separate].map(([control, { folder }]) => [control, folder]))).toEqual({
      cpu: '/sys/fs/cgroup/cpu,cpuacct/',
      memory: '/sys/fs/cgroup/memory/session/a b',
      pids: '/sys/fs/cgroup/pids/',
    });
    expect(unified).toEqual({ mount: '/sys/fs/cgroup/unified', folder: '/sys/fs/cgroup/unified/user.slice' });
  });

  it('finds the group of a container, of whose path only the end is mounted', () => {
    const mounts = '35 31 0:32 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw';
    expect(parseHierarchies(mounts, '0::/docker/abc/app', always).unified?.folder).toBe('/sys/fs/cgroup/app');
    const lost = parseHierarchies(mounts, '0::/elsewhere', (folder) => folder === '/sys/fs/cgroup');
    expect(lost.unified?.folder).toBe('/sys/fs/cgroup');
  });

  it('finds none where there are none', () => {
    expect(parseHierarchies('', '', always)).toEqual({ separate: new Map(), unified: undefined });
  });
});
