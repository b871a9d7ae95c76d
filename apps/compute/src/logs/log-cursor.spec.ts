import { computeOperations } from '@alto/contracts';
import { decodePositions, encodePositions } from './log-cursor';

it('is accepted for 50 instances on 50 nodes with the longest names, however far into their logs', () => {
  const place = `abcdefgh.${Number.MAX_SAFE_INTEGER.toString(36)}`;
  const nodes = Array.from({ length: 50 }, (_, n) => String(n).padStart(60, 'n'));
  const positions = Object.fromEntries(nodes.map((node) => [node, place]));
  const cursor = encodePositions(positions);
  expect(decodePositions(computeOperations.logs.read.input.shape.cursor.parse(cursor))).toEqual(positions);
});
