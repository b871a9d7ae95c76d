import { appFileSchema } from './app-file';
import { faultsOf } from './faults';

const faults = (file: unknown) => {
  const parsed = appFileSchema.safeParse(file);
  return parsed.success ? [] : faultsOf(appFileSchema, parsed.error);
};

describe('the faults of an alto.yaml', () => {
  it('are all told at once, by the path of the key, with what was probably meant', () => {
    const file = { comand: ['node'], replicas: 'three', readiness: { pth: '/' }, strategy: { kind: 'canari' } };
    expect(faults(file).sort()).toEqual([
      'comand: there is no such key; did you mean command?',
      'command: is missing',
      'readiness.pth: there is no such key; did you mean path?',
      'replicas: expected number, received string',
      'strategy.kind: is none of those there are',
    ]);
  });

  it('name a key that is like no other', () => {
    expect(faults({ command: ['node'], dockerfile: 'Dockerfile' })).toEqual(['dockerfile: there is no such key']);
  });

  it.each([[{ command: ['node'] }, []] as const, ['text', ['the file: expected object, received string']] as const])(
    'of %j are %j',
    (file, expected) => expect(faults(file)).toEqual(expected),
  );
});
