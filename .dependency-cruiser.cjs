/**
 * The folder tree is the diagram: imports point down only, and no cycle is allowed, not even of types.
 * A folder of src/ and what it may import, besides itself. Files directly in src/ are the public API and may import all.
 */
const LAYERS = {
  core: [],
  context: [],
  telemetry: ['core'],
  codec: ['core'],
  postgres: ['core', 'codec'],
  replay: ['core'],
  workflow: ['replay', 'context', 'telemetry', 'core', 'codec'],
  activity: ['context', 'core', 'codec'],
  client: ['postgres', 'telemetry', 'codec', 'core'],
  worker: ['replay', 'postgres', 'activity', 'workflow', 'telemetry', 'codec', 'core'],
  // These stand on the public API and on what it is made of.
  testing: ['client', 'worker', 'postgres', 'workflow', 'activity', 'telemetry', 'codec', 'core', '[^/]+\\.ts$'],
  cli: ['client', 'worker', 'postgres', 'codec', 'core', '[^/]+\\.ts$'],
};

/** Written beside the code they test, not part of the product. */
const TESTS = '(^test/|\\.test\\.ts$)';

const layerRules = Object.entries(LAYERS).map(([layer, below]) => ({
  name: `layers-${layer}`,
  comment: `src/${layer} may import ${below.length === 0 ? 'no other folder' : `only ${below.join(', ')}`}.`,
  severity: 'error',
  from: { path: `^src/${layer}/`, pathNot: TESTS },
  to: {
    path: '^src/',
    pathNot: [layer, ...below].map((name) => (name.includes('$') ? `^src/${name}` : `^src/${name}/`)),
  },
}));

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'layers-unknown',
      comment: 'A new folder of src/ needs its place in LAYERS (.dependency-cruiser.cjs).',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${Object.keys(LAYERS).join('|')})/` },
      to: {},
    },
    {
      name: 'no-cycles',
      comment: 'When two files need each other, the shared word moves to a third file below both.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'replay-is-pure',
      comment: 'Replay runs the same everywhere and at any time: no node: module, no driver, also not by way of core.',
      severity: 'error',
      from: { path: '^src/(replay|core)/', pathNot: TESTS },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'tests-stay-outside',
      comment: 'Only test code may import test code. vitest.config.ts plants bugs: see scripts/planted-bugs.mjs.',
      severity: 'error',
      from: { pathNot: `${TESTS}|^vitest\\.config\\.ts$` },
      to: { path: TESTS },
    },
    {
      name: 'src-stands-alone',
      comment: 'The package ships src/ only.',
      severity: 'error',
      from: { path: '^src/', pathNot: TESTS },
      to: { path: '^(test|bench|demo|examples|scripts)/' },
    },
    {
      name: 'src-imports-what-users-install',
      comment: 'A development dependency is not there for users. Optional peers are, when they chose to install them.',
      severity: 'error',
      from: { path: '^src/', pathNot: TESTS },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm-peer'] },
    },
    {
      name: 'imports-resolve',
      severity: 'error',
      from: {},
      // The package under its own name is its build, which need not exist here.
      to: { couldNotResolve: true, pathNot: '^perdure$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // The other engines are installed by whoever compares, not here.
    exclude: { path: '^(dist|bench/compare/engines)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
