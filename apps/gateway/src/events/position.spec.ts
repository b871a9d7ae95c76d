import { newId } from '@alto/contracts';
import { formatPosition, formatStart, parsePosition } from './position';

describe('positions', () => {
  it('come back as they were given', () => {
    const eventId = newId('event', 1_763_700_000_123);
    expect(parsePosition(formatPosition(42, eventId))).toEqual({ sequence: 42, eventId, atMs: 1_763_700_000_123 });
    expect(parsePosition(formatStart(42, 1_763_700_000_123))).toEqual({ sequence: 42, atMs: 1_763_700_000_123 });
  });

  it('are refused when nobody has given them', () => {
    for (const wrong of [
      '',
      '42',
      '42.',
      '42.key_01k3',
      `-1.${newId('event')}`,
      `1.${newId('event')} `,
      '1.tx',
      'x.t1',
    ]) {
      expect(() => parsePosition(wrong)).toThrow(expect.objectContaining({ field: 'Last-Event-ID' }));
    }
  });
});
