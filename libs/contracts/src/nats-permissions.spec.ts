import { z } from 'zod';
import { natsPermissions } from './nats-permissions';
import { operation, type OperationDeclaration, serviceNames } from './operation';

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
    const { pub } = natsPermissions('node-agent', [internal({}), internal({ verb: 'drain', callers: ['storage'] })]);
    expect(pub.allow.filter((subject) => subject.startsWith('alto.rpc.'))).toEqual(['alto.rpc.compute.v2.nodes.sync']);
  });

  it('let the gateway call operations it does not know yet, but none that is between services', () => {
    const { pub } = natsPermissions('gateway', [internal({}), internal({ verb: 'tail', perInstance: true })]);
    expect(pub.allow).toContain('alto.rpc.>');
    expect(pub.deny).toEqual(['alto.rpc.compute.v2.nodes.sync', 'alto.rpc.compute.v2.nodes.tail.*']);
  });

  it.each(serviceNames)('keep %s within its own namespace', (service) => {
    const { pub, sub } = natsPermissions(service);
    const others = serviceNames.filter((name) => name !== service);
    for (const other of others) {
      expect(sub.allow).not.toContain(`alto.rpc.${other}.>`);
      expect(sub.allow).not.toContain(`_INBOX_${other}.>`);
      expect(pub.allow).not.toContain(`alto.announce.${other}`);
      expect(pub.allow).not.toContain(`alto.events.*.${other}.>`);
    }
    expect([...pub.allow, ...sub.allow]).not.toContain('>');
  });
});
