/**
 * node scripts/check-package.mjs [--release]
 *
 * What a user gets: packs the package, installs the tarball into an empty project beside its dependencies alone (no
 * optional peer, no types of one), imports it, and type-checks an import of it with libraries checked too.
 *
 * With `--release`, as `npm publish` runs it first (prepublishOnly), also that it can be published: see docs/releasing.md.
 *
 * Works offline: dependencies are linked from our own node_modules. `@arethetypeswrong/cli` would bring 56 packages for
 * the same answer about a package that is ESM only.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** What a package runs on the machine of whoever installs it. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare'];
/** What the package may hold. */
const CONTENTS =
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|dist\/[\w./-]+\.(js|d\.ts|js\.map|d\.ts\.map)|sql\/[\w./-]+\.sql)$/;

const root = resolve(import.meta.dirname, '..');
const { name, dependencies = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
runsNothingAtInstall();
if (process.argv.includes('--release')) mayBePublished();
const project = mkdtempSync(join(tmpdir(), 'perdure-package-'));
try {
  installTarball();
  for (const dependency of [...Object.keys(dependencies), '@types/node']) link(dependency);
  importIt();
  typeCheckIt();
} finally {
  rmSync(project, { recursive: true, force: true });
}

function installTarball() {
  // `npm publish --dry-run` would hand its own flag on.
  const packed = execFileSync('npm', ['pack', '--json', '--silent', '--dry-run=false', '--pack-destination', project], {
    cwd: root,
    encoding: 'utf8',
  });
  const [{ filename, files }] = JSON.parse(packed);
  const target = join(project, 'node_modules', name);
  mkdirSync(target, { recursive: true });
  execFileSync('tar', ['-xzf', join(project, filename), '-C', target, '--strip-components=1']);
  const tests = files.filter(({ path }) => path.includes('.test.'));
  const strange = files.filter(({ path }) => !CONTENTS.test(path));
  if (strange.length > 0)
    fail(`The package contains ${strange.map(({ path }) => path).join(', ')}: not meant to be shipped?`);
  evaluatesNoText(target, files);
  if (tests.length > 0) fail(`The package contains tests: ${tests.map(({ path }) => path).join(', ')}`);
}

/** Neither we nor anything that users or developers install with us. */
function runsNothingAtInstall() {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const ours = INSTALL_SCRIPTS.filter((script) => script in scripts);
  if (ours.length > 0) fail(`package.json has scripts that run at installation: ${ours.join(', ')}`);
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const theirs = Object.keys(packages).filter((path) => packages[path].hasInstallScript);
  if (theirs.length > 0) fail(`These run scripts at installation: ${theirs.join(', ')}`);
}

/** What npm would find out late, or not at all: where it comes from is part of a provenance, and has to be said beforehand. */
function mayBePublished() {
  const { repository, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const address = typeof repository === 'string' ? repository : repository?.url;
  if (!/^git\+https:\/\/[^/]+\/.+\.git$/.test(address ?? ''))
    fail(
      'package.json has no repository as "git+https://<host>/<owner>/<name>.git": npm publish --provenance compares it with where the build runs. ' +
        'Set it to where this repository is public',
    );
  const dirty = execFileSync('git', ['status', '--porcelain'], { cwd: root, encoding: 'utf8' }).trim();
  if (dirty !== '') fail(`These files are not committed:\n${dirty}`);
  const changelog = readFileSync(join(root, 'CHANGELOG.md'), 'utf8');
  if (!changelog.includes(`\n## ${version}\n`) && !changelog.includes(`\n## ${version} (20`))
    fail(`CHANGELOG.md has no heading "## ${version} (<date>)"`);
}

function evaluatesNoText(target, files) {
  for (const { path } of files.filter(({ path }) => path.endsWith('.js'))) {
    const text = readFileSync(join(target, path), 'utf8');
    if (/\beval\s*\(|\bnew Function\s*\(|\bFunction\s*\(['"`]|\bvm\b.*runIn/.test(text))
      fail(`${path} evaluates text as code`);
  }
}

function link(dependency) {
  const target = join(project, 'node_modules', dependency);
  mkdirSync(dirname(target), { recursive: true });
  symlinkSync(join(root, 'node_modules', dependency), target, 'junction');
}

function importIt() {
  const program = `const names = Object.keys(await import('${name}')); if (names.length === 0) throw new Error('no export');`;
  run(process.execPath, ['--input-type=module', '--eval', program], 'The package cannot be imported');
}

function typeCheckIt() {
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(project, 'program.ts'),
    `import * as all from '${name}';\nexport const names: (keyof typeof all)[] = [];\n`,
  );
  const flags = '--noEmit --strict --module NodeNext --moduleResolution NodeNext --target ES2023 --types node'.split(
    ' ',
  );
  run(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), ...flags, 'program.ts'],
    'Its types do not check',
  );
}

function run(command, args, what) {
  try {
    execFileSync(command, args, { cwd: project, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    fail(`${what}:\n${error.stdout}${error.stderr}`);
  }
}

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}
