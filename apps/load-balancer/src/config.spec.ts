import { ConfigError, loadConfig } from '@alto/platform';
import { loadBalancerConfig, parseAddresses } from './config';

it('reads lists of addresses', () => {
  expect(parseAddresses(' 127.0.0.1:14100, [::1]:14101,')).toEqual([
    { address: '127.0.0.1', port: 14_100 },
    { address: '::1', port: 14_101 },
  ]);
  expect(parseAddresses('')).toEqual([]);
});

it.each([
  ['ALTO_GATEWAY_TARGETS', 'localhost:1', "'localhost:1' must be an IP address"],
  ['ALTO_STORAGE_TARGETS', '127.0.0.1', "'127.0.0.1' must be an IP address and a port"],
  ['ALTO_STORAGE_TARGETS', '127.0.0.1:70000', "'127.0.0.1:70000' must be"],
  ['ALTO_PUBLIC_HOST', 'example.com', 'must be an IP address'],
  ['ALTO_APPS_DOMAIN', 'Not A Domain', 'lower-case domain name'],
  ['ALTO_HAPROXY_RUN_DIR', '/'.padEnd(90, 'x'), '80'],
])('refuses %s=%s', (name, value, message) => {
  expect(() => loadConfig(loadBalancerConfig, { [name]: value })).toThrow(ConfigError);
  expect(() => loadConfig(loadBalancerConfig, { [name]: value })).toThrow(message);
});

it('listens on loopback unless told otherwise', () => {
  expect(loadConfig(loadBalancerConfig, {})).toMatchObject({ ALTO_PUBLIC_HOST: '127.0.0.1', ALTO_APPS_PORT: 8080 });
});
