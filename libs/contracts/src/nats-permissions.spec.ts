import { z } from 'zod';
import { natsPermissions } from './nats-permissions';
import { operation, type OperationDeclaration, serviceNames } from './operation';

const services = serviceNames.filter((name) => name !== 'node-agent');

function internal(more: Partial<OperationDeclaration<z.ZodObject, z.ZodType>>) {
  return operation({
    service: 'compute',
    noun: 'nodes',
    verb: 'sync',
    version: 2,
    summary: 'Test',
    permission: 'internal',
    callers: ['node-agent'],
    input: z.object({}),
    output: z.object({}),
    errors: [],
    idempotent: true,
    ...more,
  });
}

describe('NATS permissions', () => {
  it('let a service call what names it as a caller, and nothing else', () => {
    const { pub } = natsPermissions('node-agent', {
      node: 'node_1',
      operations: [internal({}), internal({ verb: 'drain', callers: ['storage'] })],
    });
    expect(pub.allow.filter((subject) => subject.startsWith('alto.rpc.'))).toEqual(['alto.rpc.compute.v2.nodes.sync']);
  });

  it('let the gateway call operations it does not know yet, but none that is between services', () => {
    const { pub } = natsPermissions('gateway', {
      operations: [internal({}), internal({ verb: 'tail', perInstance: true })],
    });
    expect(pub.allow).toContain('alto.rpc.>');
    expect(pub.deny).toEqual(['alto.rpc.compute.v2.nodes.sync', 'alto.rpc.compute.v2.nodes.tail.*']);
  });

  it('let an agent speak and listen as its own node alone', () => {
    const operations = [
      internal({ callerField: 'node', input: z.object({ node: z.string() }) }),
      internal({ service: 'node-agent', verb: 'tail', perInstance: true, callers: ['compute'] }),
    ];
    const { pub, sub } = natsPermissions('node-agent', { node: 'node_1', operations });
    expect(pub.allow).toContain('alto.rpc.compute.v2.nodes.sync.node_1');
    expect(sub.allow).toContain('alto.rpc.node-agent.v2.nodes.tail.node_1');
    const wide = [...pub.allow, ...sub.allow].filter((subject) => subject.includes('*'));
    expect(wide).toEqual([]);
    expect(sub.allow.filter((subject) => subject.endsWith('>'))).toEqual(['_INBOX_node-agent.node_1.>']);
  });

  it('are made for an agent of a named node only', () => {
    expect(() => natsPermissions('node-agent')).toThrow('node');
    expect(() => natsPermissions('compute', { node: 'node_1' })).toThrow('node');
  });

  it('let nobody change the stream of events, and the gateway alone make or read it', () => {
    for (const service of services) {
      const api = natsPermissions(service).pub.allow.filter((subject) => subject.startsWith('$JS.API.'));
      expect(api.filter((subject) => /STREAM\.(UPDATE|DELETE|PURGE|MSG\.DELETE)/.test(subject))).toEqual([]);
      const made = api.filter((subject) => /CREATE/.test(subject));
      expect(made.length > 0).toBe(service === 'gateway');
    }
  });

  it.each(services)('keep %s within its own namespace', (service) => {
    const { pub, sub } = natsPermissions(service);
    for (const other of serviceNames.filter((name) => name !== service)) {
      expect(sub.allow).not.toContain(`alto.rpc.${other}.>`);
      expect(sub.allow).not.toContain(`_INBOX_${other}.>`);
      expect(pub.allow).not.toContain(`alto.announce.${other}`);
      expect(pub.allow).not.toContain(`alto.events.*.${other}.>`);
    }
    expect([...pub.allow, ...sub.allow]).not.toContain('>');
  });
});
