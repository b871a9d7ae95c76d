import { acceptTraceparent, isSampled, newTraceparent, spanIdOf, traceIdOf } from './trace-context';

const valid = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('traceparent', () => {
  it('is accepted as it came', () => {
    expect(acceptTraceparent(valid)).toBe(valid);
    expect(traceIdOf(valid)).toBe('4bf92f3577b34da6a3ce929d0e0e4736');
    expect(spanIdOf(valid)).toBe('00f067aa0ba902b7');
    expect(isSampled(valid)).toBe(true);
    expect(isSampled(valid.replace(/01$/, '00'))).toBe(false);
  });

  it.each([
    undefined,
    '',
    'nonsense',
    valid.toUpperCase(),
    valid.replace('00-', 'ff-'),
    `${valid}-more`,
    `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
    `00-4bf92f3577b34da6a3ce929d0e0e4736-${'0'.repeat(16)}-01`,
  ])('that is not valid (%s) gives a new trace', (header) => {
    const accepted = acceptTraceparent(header);
    expect(accepted).not.toBe(header);
    expect(acceptTraceparent(accepted)).toBe(accepted);
  });

  it('is new each time', () => {
    const made = Array.from({ length: 1_000 }, () => newTraceparent());
    expect(new Set(made.map(traceIdOf)).size).toBe(1_000);
    expect(new Set(made.map(spanIdOf)).size).toBe(1_000);
    expect(isSampled(newTraceparent(true))).toBe(true);
  });
});
