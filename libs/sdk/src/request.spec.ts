import { computeOperations, nodeAgentOperations, type Operation, storageOperations } from '@alto/contracts';
import { shapeRequest } from './request';

const shape = (operation: Operation, input: Record<string, unknown>) => shapeRequest(operation, input);

describe('shapeRequest', () => {
  it('puts each field where the contract says', () => {
    expect(shape(computeOperations.apps.put, { project: 'p', app: 'a', command: ['node'], replicas: 2 })).toEqual({
      method: 'PUT',
      target: '/v1/projects/p/apps/a',
      body: { command: ['node'], replicas: 2 },
    });
    expect(shape(computeOperations.apps.list, { project: 'p', limit: 10, cursor: undefined })).toEqual({
      method: 'GET',
      target: '/v1/projects/p/apps?limit=10',
    });
    expect(shape(storageOperations.bundles.upload, { project: 'p', sha256: 'ab' })).toEqual({
      method: 'POST',
      target: '/v1/projects/p/bundles?sha256=ab',
    });
  });

  it('encodes what stands in the path', () => {
    const { target } = shape(computeOperations.apps.get, { project: '../x', app: 'a/b?c#d' });
    expect(target).toBe('/v1/projects/..%2Fx/apps/a%2Fb%3Fc%23d');
  });

  it('refuses what could not mean anything', () => {
    const refused = expect.objectContaining({ code: 'invalid_request' });
    expect(() => shape(computeOperations.apps.get, { project: 'p' })).toThrow(refused);
    expect(() => shape(computeOperations.apps.get, { project: 'p', app: '' })).toThrow(refused);
    expect(() => shape(nodeAgentOperations.logs.read, {})).toThrow(refused);
  });
});
