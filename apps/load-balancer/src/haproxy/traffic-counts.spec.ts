import { emptyLayout, type Layout } from './layout';
import { parseStat } from './runtime-state';
import { TrafficCounts } from './traffic-counts';

/** Columns of HAProxy 2.6.12, shortened. */
const stat = `# pxname,svname,stot,econ,eresp,wretr,wredis,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,cli_abrt,srv_abrt,check_desc,
app_0,s1,9,0,0,0,0,0,7,1,1,2,0,0,1,"Layer4, connection problem",
app_0,s2,9,1,2,3,0,0,4,0,0,0,0,5,0,,

`;

it('reads what slots have answered', () => {
  expect(parseStat(stat)).toEqual(
    new Map([
      [
        'app_0',
        new Map([
          ['s1', { requests: 11, failures: 3 }],
          ['s2', { requests: 10, failures: 6 }],
        ]),
      ],
    ]),
  );
  expect(() => parseStat('Unknown command.\n')).toThrow('Unknown command');
});

const layoutOf = (...ids: (string | null)[]): Layout => ({
  ...emptyLayout,
  backends: [
    {
      pool: 'a',
      slots: ids.map((id) =>
        id === null ? null : { id, address: '127.0.0.1', port: 1, state: 'ready' as const, weight: 100 },
      ),
    },
  ],
});
const counters = (...slots: ([number, number] | null)[]) =>
  new Map([
    [
      'app_0',
      new Map(
        slots.flatMap((slot, index) =>
          slot === null ? [] : [[`s${index + 1}`, { requests: slot[0], failures: slot[1] }] as const],
        ),
      ),
    ],
  ]);

it('adds up what an endpoint did, through reloads and while it is out of service', () => {
  const counts = new TrafficCounts();
  expect(counts.look('p1', layoutOf('a', 'b'), counters([5, 1], [7, 0]))).toEqual([]);
  expect(counts.look('p1', layoutOf('a', 'b'), counters([8, 2], [7, 0]))).toEqual([
    { endpoint: 'a', requests: 3, failures: 1 },
  ]);
  expect(counts.look('p2', layoutOf('a', 'b'), counters([10, 0], [2, 2]))).toEqual([
    { endpoint: 'a', requests: 13, failures: 1 },
    { endpoint: 'b', requests: 2, failures: 2 },
  ]);
  counts.look('p2', layoutOf('a', 'b'), counters([12, 0], null));
  expect(counts.look('p2', layoutOf('a', 'b'), counters([12, 0], [3, 2]))).toEqual([
    { endpoint: 'a', requests: 15, failures: 1 },
    { endpoint: 'b', requests: 3, failures: 2 },
  ]);
});

it('never takes what one endpoint did for what the next in its slot does', () => {
  const counts = new TrafficCounts();
  counts.look('p1', layoutOf('a'), counters([5, 0]));
  counts.look('p1', layoutOf('a'), counters([9, 4]));
  expect(counts.look('p1', layoutOf('b'), counters([12, 7]))).toEqual([]);
  expect(counts.look('p1', layoutOf('b'), counters([14, 7]))).toEqual([{ endpoint: 'b', requests: 2, failures: 0 }]);
});
