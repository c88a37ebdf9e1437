import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { servedTypes } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { clientSemantics } from '../conformance/client-semantics.ts';
import { admitAll } from '../support/local-home.ts';

clientSemantics(t, () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'gridferry-home-'));
  const client = openLocalHome({ stateDir, types: servedTypes, admission: admitAll });
  return Promise.resolve({
    client,
    close() {
      client.close();
      rmSync(stateDir, { recursive: true });
    },
  });
});
