/** One project for each tier; see CONTRIBUTING.md. */
const transform = {
  '/tweetnacl/': '<rootDir>/tools/local-globals.cjs',
  '^.+\\.ts$': [
    '@swc/jest',
    {
      jsc: {
        target: 'es2024',
        parser: { syntax: 'typescript', decorators: true },
        experimental: { keepImportAttributes: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
      },
      module: { type: 'es6' },
      sourceMaps: 'inline',
    },
  ],
};

const tier = (displayName, testMatch, more = {}) => ({
  displayName,
  testMatch,
  transform,
  transformIgnorePatterns: ['/node_modules/(?!tweetnacl/)'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^@alto/(contracts|platform|sdk|testing)$': '<rootDir>/libs/$1/src/index.ts',
    // Of its own, as unit tests should not load what starts servers.
    '^@alto/testing/seed$': '<rootDir>/libs/testing/src/seed.ts',
  },
  setupFiles: ['reflect-metadata'],
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/tmp'],
  testPathIgnorePatterns: ['/node_modules/', ...(more.ignore ?? [])],
});

export default {
  projects: [
    tier('unit', ['<rootDir>/{apps,libs}/**/*.spec.ts'], { ignore: ['\\.int\\.spec\\.ts$'] }),
    tier('int', ['<rootDir>/{apps,libs}/**/*.int.spec.ts']),
    tier('e2e', ['<rootDir>/tests/e2e/**/*.spec.ts']),
    tier('chaos', ['<rootDir>/tests/chaos/**/*.spec.ts']),
    tier('tidy', ['<rootDir>/tools/**/*.spec.ts']),
  ],
  testTimeout: 120_000,
};
