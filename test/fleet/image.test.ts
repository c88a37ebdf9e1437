import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { fleetDown, fleetExec, fleetUp } from '../../src/sandbox/fleet.ts';
import { importTinyImage } from '../../src/sandbox/image.ts';
import type { ImageFile } from '../../src/sandbox/image.ts';

/** deploy/Dockerfile, built without a registry: on a base image made of this machine's own Node. */

const FLEET = 't-image';
const ROOT = join(import.meta.dirname, '../..');
const IMAGE = 'gridferry:test';

t.setTimeout(600_000);
t.teardown(() => fleetDown(FLEET));
await fleetDown(FLEET);
await fleetUp({ name: FLEET, subnet: '10.99.66.0/24', servers: ['alpha'] });

const executable = (path: string): ImageFile => ({ content: readFileSync(path), mode: 0o755 });

/** Node with the libraries it is linked to, at the places where they are here. */
function nodeAndLibraries(): Record<string, ImageFile> {
  const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
  const paths = [...libraries.matchAll(/\/\S+/g)].map(([path]) => path);
  return {
    '/bin/node': executable(process.execPath),
    ...Object.fromEntries(paths.map((path) => [path, executable(path)])),
  };
}

/** What the Dockerfile copies, with the packages that the build needs: so it needs no network. */
function buildContext(): Buffer {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const buildTools = /^node_modules\/(typescript|zod|undici-types|@types\/[^/]+)$/;
  const packages = Object.entries(lock.packages)
    .filter(([path, { dev }]) => path !== '' && (dev !== true || buildTools.test(path)))
    .map(([path]) => path)
    // Those of a package's own come with its folder.
    .filter((path) => path.lastIndexOf('node_modules/') === 0 && existsSync(join(ROOT, path)));
  const sources = ['LICENSE', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  const folders = ['bin', 'src', 'controllers', 'scripts', 'deploy/Dockerfile'];
  return execFileSync('tar', ['-C', ROOT, '-cf', '-', ...sources, ...folders, ...packages], { maxBuffer: 2 ** 30 });
}

function docker(args: readonly string[], options: { reject?: boolean; input?: Buffer } = {}) {
  return fleetExec(FLEET, 'alpha', ['docker', ...args], { ...options, env: { DOCKER_BUILDKIT: '0' } });
}

/** Runs the image as the Deployment does: no rights, nothing to write to, and no network but the container's own. */
function runContained(...args: readonly string[]) {
  const restricted = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--network', 'none'];
  return docker(['run', '--rm', ...restricted, IMAGE, ...args], { reject: false });
}

await importTinyImage(FLEET, 'alpha', 'node:test', { files: nodeAndLibraries() });
const base = ['--build-arg', 'BASE=node:test', '--network', 'none'];
const build = ['build', ...base, '-f', 'deploy/Dockerfile', '-t', IMAGE, '-'];
const built = await docker(build, { input: buildContext(), reject: false });
if (built.exitCode !== 0) throw new Error(built.stdout.slice(-4000) + built.stderr);

await t.test('it belongs to nobody, and holds nothing but the program', async (t) => {
  const { stdout } = await docker(['image', 'inspect', '--format', '{{json .Config}}', IMAGE]);
  t.match(JSON.parse(stdout), { User: '65532:65532', Entrypoint: ['node', '/app/bin/gridferry.js'] });
  const { stdout: files } = await docker(['run', '--rm', '--entrypoint', 'ls', IMAGE, '/app', '/app/node_modules']);
  t.match(files, /dist/);
  t.notMatch(files, /^(src|typescript|zod|tap)$/m, 'neither sources nor what only builds');
});

await t.test('it runs without rights on a read-only file system', async (t) => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const said = await runContained('version');
  t.match(said, { exitCode: 0, stdout: new RegExp(`^gridferry ${version.replaceAll('.', '\\.')} `), stderr: '' });
  const id = await docker(['run', '--rm', '--entrypoint', 'id', IMAGE]);
  t.match(id.stdout, /uid=65532 gid=65532/);
  const install = await runContained('install');
  t.match(install, { exitCode: 0, stdout: /kind: Deployment/ });
});

await t.test('without a cluster the controller says so, with a code', async (t) => {
  const nothing = await runContained('run', '--cluster');
  t.equal(nothing.exitCode, 2);
  t.match(nothing.stderr, /^error GF_KUBECONFIG_NOT_FOUND: /m);
});

await t.test('a controller whose API server does not answer waits for it, and ends when it is told to', async (t) => {
  const kubeconfig = JSON.stringify({
    clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1' } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'c' } }],
    users: [{ name: 'c', user: { token: 'of-a-test' } }],
    'current-context': 'c',
  });
  await fleetExec(FLEET, 'alpha', ['sh', '-c', 'cat > /root/kubeconfig && chmod 644 /root/kubeconfig'], {
    input: Buffer.from(kubeconfig),
  });
  const mount = ['-v', '/root/kubeconfig:/kubeconfig:ro'];
  const run = ['run', '-d', '--name', 'controller', '--read-only', '--cap-drop', 'ALL', ...mount, IMAGE];
  await docker([...run, 'run', '--cluster', '--kubeconfig', '/kubeconfig', '--listen', '0.0.0.0:8080']);
  let logs = '';
  for (let turn = 0; turn < 100 && !logs.includes('GF_API_UNREACHABLE'); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { stdout, stderr } = await docker(['logs', 'controller']);
    logs = stdout + stderr;
  }
  t.match(logs, /GF_API_UNREACHABLE/);
  const get = (path: string) =>
    docker(['exec', 'controller', 'wget', '-q', '-O', '-', `http://127.0.0.1:8080${path}`], { reject: false });
  t.match(await get('/healthz'), { exitCode: 0, stdout: 'ok\n' });
  t.not((await get('/readyz')).exitCode, 0, 'it is alive, and not ready');
  await docker(['stop', '--time', '20', 'controller']);
  const { stdout } = await docker(['inspect', '--format', '{{.State.ExitCode}}', 'controller']);
  t.equal(stdout.trim(), '0');
});
