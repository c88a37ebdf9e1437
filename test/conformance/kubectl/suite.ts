import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { openApiServer } from '../../support/api-server.ts';
import { installCrds } from '../../support/install-crds.ts';
import { rehearse, uniqueNamespace } from './rehearsal.ts';
import type { Act, Stage } from './rehearsal.ts';
import type { Scenario } from './scenario.ts';
import { findKubectls, serverFrom } from './servers.ts';
import type { ApiServer } from './servers.ts';

const knownDifferences = readFileSync(join(import.meta.dirname, '../../../docs/conformance.md'), 'utf8');

/** For a file of scenarios with all binaries, on a machine with much else to do. */
const limitMs = 900_000;

/** How many scenarios are played at once: most of the time a call waits for a server, or for its own deadline. */
const atOnce = 4;

/**
 * Plays the scenarios with the newest kubectl at the embedded API and, where GRIDFERRY_TEST_KUBECONFIG names one, at a
 * real API server, and has both say the same. Older kubectls play those of the scenarios that are about them, at the
 * embedded API.
 */
export function kubectlSuite(t: Test, scenarios: readonly Scenario[]): void {
  t.setTimeout(limitMs);
  const binaries = findKubectls();
  if (binaries.length === 0) {
    const skip = 'there is no kubectl: put one on PATH, or name some in GRIDFERRY_TEST_KUBECTLS';
    void t.test('kubectl', { skip }, () => undefined);
    return;
  }
  const realKubeconfig = process.env['GRIDFERRY_TEST_KUBECONFIG'] ?? '';
  if (realKubeconfig === '') {
    void t.test('the same at a real API server', { skip: 'GRIDFERRY_TEST_KUBECONFIG names none' }, () => undefined);
  }
  for (const [index, binary] of binaries.entries()) {
    const isNewest = index === 0;
    const played = scenarios.filter(({ everyKubectl }) => isNewest || everyKubectl);
    void t.test(binary, { timeout: limitMs }, async (t) => {
      const embedded = await openApiServer();
      t.teardown(() => embedded.close());
      const servers = [serverFrom('embedded', embedded.kubeconfigPath, binary)];
      if (realKubeconfig !== '' && isNewest) {
        installCrds(realKubeconfig, binary);
        servers.push(serverFrom('real', realKubeconfig, binary));
      }
      const places = servers.map((server) => ({ server, binary, home: homeDirectory(t) }));
      t.jobs = atOnce;
      await Promise.all(
        played.map((scenario) => {
          const options = { buffered: true, timeout: limitMs };
          return t.test(scenario.title, options, (t) => perform(t, scenario, places));
        }),
      );
    });
  }
}

type Place = Omit<Stage, 'namespace'>;

async function perform(t: Test, scenario: Scenario, places: readonly Place[]): Promise<void> {
  const namespace = uniqueNamespace();
  const performances = await Promise.allSettled(places.map((place) => rehearse(scenario, { ...place, namespace })));
  const [embedded, real] = performances.map((performance) => {
    if (performance.status === 'rejected') throw performance.reason;
    return performance.value;
  });
  for (const act of embedded!) keepsPromises(t, 'embedded', act);
  if (real === undefined) return;
  for (const act of real) keepsPromises(t, 'real', act);
  for (const [index, act] of embedded!.entries()) {
    if (comparable(act)) t.equal(act.transcript, real[index]?.transcript, `both: ${act.step.run}`);
  }
}

/** What differs is named in the scenario; what is kept is kept because each server has its own. */
function comparable({ step }: Act): boolean {
  return step.differs === undefined && step.keep === undefined;
}

/** What the scenario itself says of the step holds. */
function keepsPromises(t: Test, server: ApiServer['name'], { step, transcript, exitCode }: Act): void {
  const { run, differs, lines, exit = 0 } = step;
  const about = `${server}: ${run}`;
  const exits = server === 'embedded' ? (differs?.exit ?? exit) : exit;
  t.equal(exitCode, lines === undefined ? exits : undefined, about, { transcript });
  for (const text of [step.says ?? []].flat()) t.match(transcript, text, about);
  if (differs === undefined) return;
  t.match(transcript, differs[server], about);
  t.ok(knownDifferences.includes(`| ${differs.row} `), `docs/conformance.md has a row: ${differs.row}`);
}

/** A home that kubectl shares between the scenarios at one server: discovery is asked once. */
function homeDirectory(t: Test): string {
  const home = mkdtempSync(join(tmpdir(), 'gridferry-kubectl-home-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  return home;
}
