import { compareVersions, installCommand, releaseTarget, serverPackages } from './catalogue.ts';

describe('servers', () => {
  it('compares versions by number, not by text', () => {
    expect(compareVersions('2.10.0', '2.9.10')).toBeGreaterThan(0);
    expect(compareVersions('2.9.10', '2.9.10')).toBe(0);
    expect(compareVersions('2.6', '2.6.1')).toBeLessThan(0);
  });

  it('reads the versions that the servers print', () => {
    const printed = {
      'nats-server': 'nats-server: v2.9.10\n',
      haproxy: 'HAProxy version 2.6.12-1+deb12u4 2026/10/17\n',
      bwrap: 'bubblewrap 0.8.0\n',
      nft: 'nftables v1.0.6 (Lester Gooch #5)\n',
    };
    const versions = serverPackages.map(({ name, versionPattern }) => versionPattern.exec(printed[name])?.[1]);
    expect(versions).toEqual(['2.9.10', '2.6.12', '0.8.0', '1.0.6']);
  });

  it('names the command of the system that is there', () => {
    const [, haproxy] = serverPackages;
    const command = (program: string) =>
      installCommand(haproxy as (typeof serverPackages)[number], (name) => name === program);
    expect(command('apt-get')).toBe('install it with `sudo apt-get update && sudo apt-get install haproxy`');
    expect(command('dnf')).toBe('install it with `sudo dnf install haproxy`');
    expect(command('apk')).toBe('install it with `sudo apk add haproxy`');
    expect(command('brew')).toBe('install it with `brew install haproxy`');
    const [, , bubblewrap] = serverPackages;
    const install = installCommand(bubblewrap as (typeof serverPackages)[number], (name) => name === 'dnf');
    expect(install).toBe('install it with `sudo dnf install bubblewrap`');
  });

  it('pins a checksum for every build that it would download', () => {
    expect(releaseTarget('linux', 'x64')).toBe('linux-amd64');
    for (const { release } of serverPackages) {
      for (const checksum of Object.values(release?.checksums ?? {})) expect(checksum).toMatch(/^[0-9a-f]{64}$/);
    }
  });
});
