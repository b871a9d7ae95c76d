/** Boundaries inside a project; between projects eslint.config.js has them. */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one file, or a third is missing.',
      severity: 'error',
      from: { pathNot: 'node_modules' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'store-stays-in-its-slice',
      comment: 'A store is the private half of a slice: ask its service.',
      severity: 'error',
      from: { path: '^apps/([^/]+)/src/([^/]+)/' },
      to: { path: '^apps/$1/src/[^/]+/[^/]+\\.store\\.ts$', pathNot: '^apps/$1/src/$2/' },
    },
    {
      name: 'pure-logic-does-no-io',
      comment: 'Planners and state machines are values in, values out.',
      severity: 'error',
      from: { path: ['^apps/[^/]+/src/placement/', '\\.state\\.ts$'], pathNot: '\\.(spec|bench)\\.ts$' },
      to: { path: 'node_modules/(@nestjs|typeorm|@nats-io)' },
    },
    {
      name: 'pure-logic-knows-no-machine',
      comment: 'Planners and state machines are values in, values out.',
      severity: 'error',
      from: { path: ['^apps/[^/]+/src/placement/', '\\.state\\.ts$'], pathNot: '\\.(spec|bench)\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-other-app',
      comment: 'Apps meet over their contracts only.',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^apps/', pathNot: '^apps/$1/' },
    },
    {
      name: 'testing-in-specs-only',
      severity: 'error',
      from: { path: '^(apps|libs/platform)/', pathNot: '\\.(spec|conformance|bench|fake)\\.ts$' },
      to: { path: '^libs/testing/' },
    },
    {
      name: 'nothing-unresolved',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.base.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
