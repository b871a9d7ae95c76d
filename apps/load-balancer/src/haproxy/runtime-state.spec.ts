import { parseConnections, parseInfo, parseMap, parseProcesses, parseServersState, sameAddress } from './runtime-state';

/** Answers of HAProxy 2.6.12, shortened. */
const serversState = `1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port
4 app_0 1 s1 127.0.0.1 0 0 1 1 8 2 0 6 0 0 0 0 - 20000 - 0 0 - - 0
4 app_0 2 s2 127.0.0.1 2 4 7 1 0 1 0 1 6 0 0 0 - 20001 - 0 0 - - 0
4 app_0 3 s3 127.0.0.1 0 5 1 1 1 1 0 0 14 0 0 0 - 1 - 0 0 - - 0
4 app_0 4 s4 127.0.0.1 2 8 1 1 1 1 0 0 14 0 0 0 - 1 - 0 0 - - 0
`;

it('reads the state of servers', () => {
  const slots = parseServersState(serversState).get('app_0')!;
  expect(slots.get('s1')).toEqual({ address: '127.0.0.1', port: 20_000, inService: true, weight: 1, health: 'down' });
  expect(slots.get('s2')).toEqual({ address: '127.0.0.1', port: 20_001, inService: true, weight: 7, health: 'up' });
  expect(slots.get('s3')).toMatchObject({ inService: false });
  expect(slots.get('s4')).toMatchObject({ inService: false });
  expect(() => parseServersState("Can't find backend.\n")).toThrow("Can't find backend");
});

it('reads which slots have connections', () => {
  const text = `# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[2]
app_0/s1 4/1 127.0.0.1 20000 - 5000 0 1 1 0 1 -1 1 1 0
app_0/s2 4/2 127.0.0.1 20001 - 5000 2 2 1 0 0 -1 0 0 0
app_0/s3 4/3 127.0.0.1 1 - 5000 0 0 0 0 0 -1 0 0 0
`;
  expect([...parseConnections(text)]).toEqual([
    ['s1', { used: 0, idle: 1 }],
    ['s2', { used: 2, idle: 0 }],
    ['s3', { used: 0, idle: 0 }],
  ]);
  expect(() => parseConnections("Can't find backend.\n")).toThrow();
});

it('reads a map, with keys that stand twice', () => {
  expect(parseMap('0x55 a.test app_0\n0x56 b.test app_1\n0x57 b.test app_1\n\n')).toEqual(
    new Map([
      ['a.test', ['app_0']],
      ['b.test', ['app_1', 'app_1']],
    ]),
  );
});

it('reads which process it is and what it was started with', () => {
  expect(
    parseInfo(
      'Name: HAProxy\nPid: 9049\nUptime_sec: 7\ndescription: alto structure=abc123\nStart_time_sec: 1795308103\n',
    ),
  ).toEqual({
    pid: 9049,
    startedAt: 1_795_308_103,
    uptimeMs: 7_000,
    structure: 'abc123',
  });
  expect(() => parseInfo('Permission denied\n')).toThrow('Permission denied');
});

it('tells old workers from the one that serves', () => {
  const text = `#<PID>          <type>          <reloads>       <uptime>        <version>
1162            master          5 [failed: 0]   0d00h02m07s     2.6.12
# workers
1271            worker          1               0d00h00m00s     2.6.12
# old workers
1233            worker          3               0d00h00m43s     2.6.12
# programs
`;
  expect(parseProcesses(text)).toEqual({ worker: 1271, oldWorkers: [1233] });
});

it.each([
  ['127.0.0.1', '127.0.0.1', true],
  ['127.0.0.1', '127.0.0.2', false],
  ['::1', '0:0:0:0:0:0:0:1', true],
  ['fd00::1', 'fd00::2', false],
])('compares %s with %s', (one, other, same) => {
  expect(sameAddress(one, other)).toBe(same);
});
