import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { servedTypes } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { clientSemantics } from './client-semantics.ts';
import { recordedWrites } from './write-answers.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'gridferry-home-'));
const client = openLocalHome({ stateDir, types: servedTypes, admission: createSchemaAdmission() });
t.teardown(() => {
  client.close();
  rmSync(stateDir, { recursive: true });
});

void t.test('the semantics of the API', (t) => {
  clientSemantics(t, client);
  t.end();
});
void t.test('what a write is answered with', async (t) => recordedWrites(t, client));
