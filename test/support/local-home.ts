import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { KubeObject } from '../../src/api/meta.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import { servedTypes } from '../../src/api/resources.ts';
import type { Service } from '../../src/api/resources.ts';
import type { Admission } from '../../src/home/admission.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import type { LocalHome, LocalHomeOptions } from '../../src/home/local-client.ts';

/** Lets every object in as it is. */
export const admitAll: Admission = {
  decode: <T extends KubeObject>(_type: unknown, object: T): T => object,
  admit: <T extends KubeObject>(_type: unknown, object: T): T => object,
  explain: () => [],
};

/** A directory that goes when the test ends. */
export function temporaryDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'gridferry-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function temporaryHome(t: Test, options: Partial<LocalHomeOptions> = {}): LocalHome {
  const home = openLocalHome({ stateDir: temporaryDirectory(t), types: servedTypes, admission: admitAll, ...options });
  t.teardown(() => home.close());
  return home;
}

export function serviceNamed(name: string, metadata: Partial<KubeObject['metadata']> = {}): Service {
  return {
    apiVersion: API_VERSION,
    kind: 'Service',
    metadata: { name, namespace: 'default', ...metadata },
    spec: { container: 'c', serverRef: { name: 's1' } },
  };
}
