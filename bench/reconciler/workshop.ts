import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const NODE = [process.execPath, '--expose-gc'];
/** What `bin/gridferry.js` does first. On the command line V8 would take the flag and ignore it. */
const AS_OURS_STARTS = [
  '--import',
  'data:text/javascript,import v8 from "node:v8"; v8.setFlagsFromString("--semi-space-growth-factor=1");',
];

/** The programs that are compared, built, and a control plane of their own. */
export interface Workshop {
  readonly env: NodeJS.ProcessEnv;
  readonly commands: { readonly ours: string[]; readonly controllerRuntime: string[]; readonly clientNode: string[] };
  /** Runs `fill` with these arguments: the outside world that writes what the peers react to. */
  fill(...parameters: readonly (string | number)[]): Record<string, number>;
  close(): void;
}

/**
 * Builds what is compared and starts a control plane. `GRIDFERRY_PEERS` names the folder of the peers (default:
 * `../shared/peers` beside this checkout), `GRIDFERRY_PEERS_BUILD` where to build (default: the temporary folder).
 *
 * @returns A sentence when the peers are not on this machine.
 */
export function openWorkshop(): Workshop | string {
  const peers = process.env['GRIDFERRY_PEERS'] ?? resolve(root, '../shared/peers');
  if (!existsSync(join(peers, 'run'))) return `The peers are not at ${peers}: nothing to compare with.`;
  const build = process.env['GRIDFERRY_PEERS_BUILD'] ?? join(tmpdir(), 'gridferry-bench-reconciler');
  mkdirSync(build, { recursive: true });
  for (const [source, program] of [
    ['fill', 'fill'],
    ['controller-runtime', 'cr'],
  ] as const) {
    execFileSync('go', ['build', '-o', join(build, program), '.'], { cwd: join(peers, source), stdio: 'inherit' });
  }
  // The informer of the client-node that we depend on ourselves.
  copyFileSync(join(peers, 'client-node-informer/peer.mjs'), join(build, 'peer.mjs'));
  rmSync(join(build, 'node_modules'), { force: true });
  symlinkSync(join(root, 'node_modules'), join(build, 'node_modules'));
  copyFileSync(join(root, 'package.json'), join(build, 'package.json'));
  // Compiled as it is shipped: to strip types at the start takes 30 MiB that no user has.
  execFileSync(
    process.execPath,
    [
      join(root, 'node_modules/typescript/bin/tsc'),
      '--noEmit',
      'false',
      '--noCheck',
      '--outDir',
      join(build, 'ours'),
      '--rootDir',
      '.',
    ],
    { cwd: root, stdio: 'inherit' },
  );

  const kube = resolve(peers, '../kube');
  const plane = join(build, 'kube');
  execFileSync(join(kube, 'down'), [plane]);
  const env = { ...process.env, KUBECONFIG: execFileSync(join(kube, 'up'), [plane], { encoding: 'utf8' }).trim() };
  const kubectl = (...parameters: readonly string[]): void =>
    void execFileSync(join(plane, 'kubectl'), parameters, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  kubectl('apply', '-f', join(peers, 'crd.yaml'));
  kubectl('wait', '--for=condition=Established', 'crd/transfers.gridferry.io');

  return {
    env,
    commands: {
      ours: [...NODE, ...AS_OURS_STARTS, join(build, 'ours/bench/reconciler/gridferry-peer.js')],
      controllerRuntime: [join(build, 'cr'), '-workers', '1'],
      clientNode: [...NODE, join(build, 'peer.mjs')],
    },
    fill: (...parameters) =>
      JSON.parse(execFileSync(join(build, 'fill'), parameters.map(String), { env, encoding: 'utf8' })) as Record<
        string,
        number
      >,
    close: () => void execFileSync(join(kube, 'down'), [plane]),
  };
}
