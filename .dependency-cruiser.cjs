/** Imports go one way: cli → controllers → (runtime, side effects, security) → api. */
const sideEffects = '^src/(ssh|docker|volumes|jobs|forward|dns|health|git)/';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'api-knows-nobody',
      severity: 'error',
      from: { path: '^src/api/' },
      to: { path: '^(src/(?!api/|errors\\.ts)|controllers/)' },
    },
    {
      name: 'runtime-knows-no-kind',
      severity: 'error',
      from: { path: '^src/runtime/' },
      to: {
        path: '^(controllers/|src/(cli|ssh|docker|volumes|forward|dns|health|sandbox)/|src/api/(resources|schema)(\\.ts|/))',
      },
    },
    {
      name: 'side-effects-know-no-resource',
      severity: 'error',
      from: { path: sideEffects },
      to: { path: '^(controllers/|src/(cli|home|api|sandbox)/|src/runtime/(?!(clock|abortable|collect-young)\\.ts))' },
    },
    {
      name: 'home-knows-no-controller',
      severity: 'error',
      from: { path: '^src/home/' },
      to: { path: '^(controllers/|src/(cli|ssh|docker|volumes|forward|dns|health|sandbox)/)' },
    },
    {
      name: 'controllers-do-not-know-the-cli',
      severity: 'error',
      from: { path: '^controllers/' },
      to: { path: '^src/(cli|sandbox)/' },
    },
    {
      name: 'product-does-not-import-tests',
      severity: 'error',
      from: { path: '^(src|controllers|bin)/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      name: 'schemas-are-for-generation',
      comment: 'zod is loaded only when CRDs are generated; the program takes types from there, nothing else.',
      severity: 'error',
      from: { path: '^(src/(?!api/schema/)|controllers/)' },
      to: { path: '^src/api/schema/', dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
