import { AltoError } from '@alto/contracts';
import { QueryFailedError } from 'typeorm';
import { explainFailure, isConnectionFailure, isSerializationConflict, isUniqueViolation } from './failure';

const withCode = (code: string, message = 'x', more = {}) => Object.assign(new Error(message), { code, ...more });
const failed = (code: string, more = {}) => new QueryFailedError('SELECT 1', [], withCode(code, 'x', more));

describe('explainFailure', () => {
  it.each(['ECONNREFUSED', 'ENOENT', '57P01', '57P03', '08006', '53300'])(
    '%s: the database is away, and is named',
    (code) => {
      const explained = explainFailure(failed(code), 'compute');
      expect(explained).toMatchObject({ code: 'service_unavailable', details: { service: 'compute' } });
      expect((explained as AltoError).message).toContain('database of compute');
    },
  );

  it('knows failures that carry a message alone, and those of several addresses', () => {
    expect(isConnectionFailure(new Error('Connection terminated unexpectedly'))).toBe(true);
    expect(isConnectionFailure(new AggregateError([withCode('ECONNREFUSED')]))).toBe(true);
  });

  it.each([
    ['57014', 'timeout'],
    ['25P03', 'timeout'],
    ['40001', 'overloaded'],
    ['53100', 'insufficient_storage'],
  ])('%s becomes %s', (code, expected) => {
    expect(explainFailure(failed(code), 'compute')).toMatchObject({ code: expected });
  });

  it('leaves bugs and other errors as they are', () => {
    const bug = failed('42703');
    expect(explainFailure(bug, 'compute')).toBe(bug);
    const refused = new AltoError('conflict', 'no');
    expect(explainFailure(refused, 'compute')).toBe(refused);
  });

  it('tells conflicts and unique violations apart', () => {
    expect(isSerializationConflict(failed('40P01'))).toBe(true);
    expect(isSerializationConflict(failed('23505'))).toBe(false);
    expect(isUniqueViolation(failed('23505', { constraint: 'app_name' }), 'app_name')).toBe(true);
    expect(isUniqueViolation(failed('23505', { constraint: 'app_name' }), 'other')).toBe(false);
  });
});
