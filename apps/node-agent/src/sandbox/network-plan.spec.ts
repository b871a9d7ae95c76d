import { parseNetwork, type Network } from './address';
import { bridgeName, connectCommands, insideCommands, instanceAddress, ruleset, vethName } from './network-plan';

const plan = {
  name: '0a1b2c',
  network: parseNetwork('10.200.0.0/16') as Network,
  publicPorts: [4_000, 8_080],
  publicHost: '127.0.0.1',
  refused: [parseNetwork('169.254.0.0/16') as Network],
  nameServers: ['192.0.2.53'],
  nodeAddress: undefined,
};

describe('the network of apps', () => {
  it('has names that the kernel takes', () => {
    expect(bridgeName(plan).length).toBeLessThanOrEqual(15);
    expect(vethName(plan, 65_535).length).toBeLessThanOrEqual(15);
  });

  it('gives each port an address of its own, and none that is taken', () => {
    expect(instanceAddress(plan, 20_000)).toBe('10.200.78.32');
    expect(() => instanceAddress(plan, 1)).toThrow(/use 2 to 65534/);
    expect(() => instanceAddress(plan, 65_535)).toThrow(RangeError);
  });

  it('connects an app to the bridge and to nothing else', () => {
    expect([...connectCommands(plan, 20_000), ...insideCommands(plan, 20_000)]).toEqual([
      'link add name a0a1b2cp20000 type veth peer name eth0 address 02:a1:0a:c8:4e:20 netns alto-0a1b2c-20000',
      'link set dev a0a1b2cp20000 master alto-0a1b2c up',
      'link set dev lo up',
      'address add 10.200.78.32/16 dev eth0',
      'link set dev eth0 up',
      'route add default via 10.200.0.1',
    ]);
  });

  it('lets apps out, to the load balancer, and nowhere else on the machine', () => {
    expect(ruleset(plan, new Map([[20_000, []]]))).toBe(`add table inet alto_0a1b2c
delete table inet alto_0a1b2c
table inet alto_0a1b2c {
chain raw {
type filter hook prerouting priority raw; policy accept;
iifname "alto-0a1b2c" ip daddr 127.0.0.0/8 drop
}
chain turn {
type nat hook prerouting priority dstnat; policy accept;
iifname "alto-0a1b2c" ip daddr 10.200.0.1 tcp dport { 4000, 8080 } dnat ip to 127.0.0.1
}
chain turn_own {
type nat hook output priority -100; policy accept;
}
chain input {
type filter hook input priority filter - 5; policy accept;
iifname "alto-0a1b2c" ct state established,related accept
iifname "alto-0a1b2c" ct status dnat accept
iifname "alto-0a1b2c" ip daddr 192.0.2.53 meta l4proto { tcp, udp } th dport 53 accept
iifname "alto-0a1b2c" reject
}
chain forward {
type filter hook forward priority filter - 5; policy accept;
iifname "alto-0a1b2c" oifname "alto-0a1b2c" drop
iifname "alto-0a1b2c" ct state established,related accept
iifname "alto-0a1b2c" ip daddr 192.0.2.53 meta l4proto { tcp, udp } th dport 53 accept
iifname "alto-0a1b2c" ip daddr 169.254.0.0/16 reject
oifname "alto-0a1b2c" ct state established,related accept
oifname "alto-0a1b2c" ct status dnat accept
oifname "alto-0a1b2c" drop
}
chain leave {
type nat hook postrouting priority srcnat; policy accept;
ip saddr 10.200.0.0/16 oifname != "alto-0a1b2c" masquerade
}
}
`);
  });

  it('turns what other machines send to this one’s address to the app that it is for', () => {
    const ports = new Map([
      [20_000, []],
      [20_001, [20_500]],
    ]);
    const rules = ruleset({ ...plan, nodeAddress: '192.0.2.7' }, ports);
    expect(rules.match(/ip daddr 192\.0\.2\.7 tcp dport 20001 dnat ip to 10\.200\.78\.33:20001/g)).toHaveLength(2);
    expect(rules.match(/ip daddr 192\.0\.2\.7 tcp dport 20500 dnat ip to 10\.200\.78\.33:20500/g)).toHaveLength(2);
  });
});
