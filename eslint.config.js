import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

/** Who may import whom between projects; tools/tidy.spec.ts proves that a planted violation fails. */
const depConstraints = [
  { sourceTag: 'scope:contracts', onlyDependOnLibsWithTags: [], allowedExternalImports: ['zod'] },
  { sourceTag: 'scope:platform', onlyDependOnLibsWithTags: ['scope:contracts', 'scope:testing'] },
  {
    sourceTag: 'scope:sdk',
    onlyDependOnLibsWithTags: ['scope:contracts'],
    bannedExternalImports: ['@nestjs/*', 'typeorm', '@nats-io/*'],
  },
  { sourceTag: 'scope:testing', onlyDependOnLibsWithTags: ['scope:contracts', 'scope:platform', 'scope:sdk'] },
  { sourceTag: 'scope:service', onlyDependOnLibsWithTags: ['scope:contracts', 'scope:platform', 'scope:testing'] },
  {
    sourceTag: 'scope:client',
    onlyDependOnLibsWithTags: ['scope:contracts', 'scope:sdk'],
    bannedExternalImports: ['@nestjs/*', 'typeorm', '@nats-io/*'],
  },
  { sourceTag: 'scope:tests', onlyDependOnLibsWithTags: ['scope:contracts', 'scope:sdk', 'scope:testing'] },
];

const environment = {
  selector: "MemberExpression[object.name='process'][property.name='env']",
  message: 'Read the environment once, through the configuration (defineConfig in @alto/platform).',
};

export default tseslint.config(
  { ignores: ['**/node_modules', 'dist', 'tmp', '.nx', 'coverage', '**/assets/**'] },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts', '**/*.mjs'],
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        {
          depConstraints,
          allowCircularSelfDependency: true,
          enforceBuildableLibDependency: false,
          // Specs of platform use testing, which runs platform; dependency-cruiser keeps it to specs.
          ignoredCircularDependencies: [['platform', 'testing']],
        },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-restricted-syntax': ['error', environment],
      'max-lines-per-function': ['error', { max: 70, skipComments: true, skipBlankLines: true }],
      eqeqeq: ['error', 'always'],
      'no-console': 'error',
    },
  },
  {
    // The environment enters here, and nowhere else; the console is the command's and the tools'.
    files: [
      'libs/platform/src/service/bootstrap.ts',
      'libs/testing/**/*.ts',
      'apps/cli/**/*.ts',
      'tools/**/*.{ts,mjs}',
      'tests/**/*.{ts,mjs}',
      'examples/**/*',
      '*.js',
    ],
    rules: { 'no-restricted-syntax': 'off', 'no-console': 'off' },
  },
  {
    files: ['**/*.spec.ts', 'tests/**/*.ts', '**/*.conformance.ts'],
    rules: { 'max-lines-per-function': 'off', 'no-restricted-syntax': 'off' },
  },
);
