import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { installCrds } from '../test/support/install-crds.ts';
import { kubectlOnPath } from '../test/support/kubectl-on-path.ts';

/** What tests that want a real API server find in their environment. */
export interface ControlPlane {
  readonly env: Readonly<Record<string, string>>;
  stop(): void;
}

/**
 * A real Kubernetes control plane for the tests: the one that GRIDFERRY_TEST_KUBECONFIG names, or one of our own, started
 * by the program that GRIDFERRY_TEST_KUBE_UP names (default: `../shared/kube/up`). Without either it says so in one line,
 * and there is none: what is tested then is compared with nothing.
 */
export async function startControlPlane(root: string): Promise<ControlPlane> {
  const given = process.env['GRIDFERRY_TEST_KUBECONFIG'] ?? '';
  const onPath = kubectlOnPath();
  if (given !== '') {
    if (onPath !== undefined) installCrds(given, onPath);
    return { env: {}, stop: () => undefined };
  }
  const up = process.env['GRIDFERRY_TEST_KUBE_UP'] ?? join(root, '../shared/kube/up');
  if (!existsSync(up)) return withoutControlPlane(`there is no ${up}, and GRIDFERRY_TEST_KUBECONFIG is not set`);

  const directory = mkdtempSync(join(tmpdir(), 'gridferry-control-plane-'));
  const stop = (): void => {
    spawnSync(join(dirname(up), 'down'), [directory], { stdio: 'inherit' });
    rmSync(directory, { recursive: true, force: true });
  };
  // Its servers outlive `up`, so a signal that comes while it starts must find the way to take them down.
  const release = onTermination(() => {
    starting.kill();
    stop();
  });
  const starting = spawn(up, [directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  let kubeconfig = '';
  starting.stdout.on('data', (chunk: Buffer) => (kubeconfig += chunk.toString()));
  const [code] = (await once(starting, 'close')) as [number | null];
  if (code !== 0) {
    stop();
    release();
    return withoutControlPlane(`${up} could not start one`);
  }
  const own = join(directory, 'kubectl');
  try {
    installCrds(kubeconfig.trim(), own);
  } catch (error) {
    stop();
    throw error;
  }
  return {
    env: {
      GRIDFERRY_TEST_KUBECONFIG: kubeconfig.trim(),
      GRIDFERRY_TEST_KUBECTLS: [...(onPath === undefined ? [] : [onPath]), own].join(delimiter),
    },
    stop() {
      release();
      stop();
    },
  };
}

function withoutControlPlane(reason: string): ControlPlane {
  process.stdout.write(`The comparison with a real API server did not run: ${reason}.\n`);
  if (kubectlOnPath() === undefined)
    process.stdout.write('The kubectl suite did not run: there is no kubectl on PATH.\n');
  return { env: {}, stop: () => undefined };
}

/** Does this before the process gives in to a signal; returns how to have it not done any more. */
function onTermination(action: () => void): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const react = (signal: (typeof signals)[number]): void => {
    release();
    action();
    process.kill(process.pid, signal);
  };
  const release = (): void => signals.forEach((signal) => process.off(signal, react));
  for (const signal of signals) process.on(signal, react);
  return release;
}
