import { confine, type SandboxPlan } from './bubblewrap';

const plan: SandboxPlan = {
  bwrap: '/usr/bin/bwrap',
  name: 'shop',
  folders: { app: '/i/app', home: '/i/home', temporary: '/i/tmp' },
  settings: { passwd: '/i/etc/passwd', group: '/i/etc/group', hosts: '/i/etc/hosts', resolv: '/i/etc/resolv.conf' },
  system: [['--symlink', 'usr/bin', '/bin']],
  programs: ['/alto/node/bin'],
  user: { uid: 2_000_020_000, setpriv: '/usr/bin/setpriv' },
  network: { nsenter: '/usr/bin/nsenter', namespace: '/run/netns/alto-x-20000' },
  filter: '/alto/filter',
};
const launch = { id: 'a', command: ['node', 'server.mjs'], env: { PORT: '20000', TOKEN: 'secret' }, cwd: '/i/app' };

describe('confine', () => {
  it('enters the network, walls in, and becomes the app’s user before the app begins', () => {
    const { command, confinement } = confine(launch, plan);
    expect(confinement.launcher.slice(0, 4)).toEqual([
      '/usr/bin/nsenter',
      '--net=/run/netns/alto-x-20000',
      '--',
      '/usr/bin/bwrap',
    ]);
    expect(command).toEqual([
      '/usr/bin/setpriv',
      ...['--reuid', '2000020000', '--regid', '2000020000', '--clear-groups'],
      ...['--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--'],
      ...['node', 'server.mjs'],
    ]);
    expect(confinement.options.slice(-5)).toEqual(['--ro-bind', '/usr', '/usr', '--remount-ro', '/']);
  });

  it('shows no variable on a command line', () => {
    const { command, confinement } = confine(launch, plan);
    expect([...command, ...confinement.launcher, ...confinement.options].join(' ')).not.toContain('secret');
  });

  it('lets no privileged program obey an app’s loader variables', () => {
    const env = { ...launch.env, LD_PRELOAD: '/app/evil.so', GLIBC_TUNABLES: 'x', LDAP_URL: 'ldap://x' };
    const confined = confine({ ...launch, env }, plan);
    expect(confined.env).toEqual({ ...launch.env, LDAP_URL: 'ldap://x' });
    const after = confined.command.slice(confined.command.indexOf('--') + 1);
    expect(after).toEqual(['/usr/bin/env', 'LD_PRELOAD=/app/evil.so', 'GLIBC_TUNABLES=x', 'node', 'server.mjs']);
  });

  it('has no privileged program at all where the agent has none', () => {
    const { command, confinement } = confine(launch, { ...plan, user: undefined, network: undefined });
    expect(command).toEqual(launch.command);
    expect(confinement.launcher[0]).toBe('/usr/bin/bwrap');
    expect(confinement.launcher).toContain('--unshare-user');
    expect(confinement.launcher).not.toContain('--cap-add');
  });
});
