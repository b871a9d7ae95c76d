import { appSpecSchema, portVariable } from './app-spec';

describe('ports of an app', () => {
  const portsOf = (ports?: unknown) => appSpecSchema.safeParse({ command: ['node'], ports }).data?.ports;

  it('are http alone unless given, and may be none', () => {
    expect(portsOf()).toEqual(['http']);
    expect(portsOf([])).toEqual([]);
    expect(portsOf(['metrics', 'http', 'my-2nd'])).toEqual(['metrics', 'http', 'my-2nd']);
  });

  it.each([[['HTTP']], [['2nd']], [['a_b']], [['']], [['a'.repeat(16)]], [['http', 'http']], ['http']])(
    'are refused: %j',
    (ports) => expect(portsOf(ports)).toBeUndefined(),
  );

  it('are ten at most', () => {
    const names = (count: number) => Array.from({ length: count }, (_, n) => `p${n}`);
    expect(portsOf(names(10))).toHaveLength(10);
    expect(portsOf(names(11))).toBeUndefined();
  });

  it('are told in variables', () => {
    expect(['http', 'metrics', 'my-2nd'].map(portVariable)).toEqual(['PORT', 'PORT_METRICS', 'PORT_MY_2ND']);
  });
});
