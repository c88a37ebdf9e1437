import { ConfigMaps, Secrets } from '../../src/api/core.ts';
import { Services, Transfers } from '../../src/api/resources.ts';
import { spec, service, create, change, patch, json, typos } from './write-case.ts';
import type { Body, WriteCase } from './write-case.ts';

/** Fields that the schema does not know. */
export const fieldCases: readonly WriteCase[] = [
  create('unknown fields are refused together', Transfers, typos),
  create('unknown fields are dropped with a warning each', Transfers, typos, { fieldValidation: 'Warn' }),
  create('unknown fields are dropped in silence', Transfers, typos, { fieldValidation: 'Ignore' }),
  create('an unknown field beside spec', Transfers, { ...spec(), specs: 1 }),
  create('an unknown field in metadata', Transfers, { ...spec(), metadata: { label: {} } }),
  create(
    'an unknown field in metadata, warned of',
    Transfers,
    { ...spec(), metadata: { label: {} } },
    { fieldValidation: 'Warn' },
  ),
  create('an unknown field in a list entry', Services, service({ addons: [{ name: 'db', container: 'pg', x: 1 }] })),
  create('a field in the wrong case', Transfers, spec({ Soak: '5s' })),
  patch('a merge patch with an unknown field', Transfers, spec(), 'merge', { spec: { foo: 1 } }),
  patch(
    'a merge patch with an unknown field, warned of',
    Transfers,
    spec(),
    'merge',
    { spec: { foo: 1 } },
    { fieldValidation: 'Warn' },
  ),
  json('a JSON patch with an unknown field', Transfers, spec(), { op: 'add', path: '/spec/foo', value: 1 }),
  change('an update with an unknown field', Transfers, spec(), 'update', (given) => ({
    ...given,
    spec: { ...(given.spec as Body), foo: 1 },
  })),
  patch('a status patch with an unknown field', Transfers, spec(), 'mergeStatus', { status: { foo: 1 } }),
  patch('a status patch with an unknown field in spec', Transfers, spec(), 'mergeStatus', {
    spec: { foo: 1 },
    status: { message: 'm' },
  }),
  create('an unknown field and an invalid one', Transfers, spec({ foo: 1, verify: 'No' })),
  create('an unknown field and an invalid one, warned of', Transfers, spec({ foo: 1, verify: 'No' }), {
    fieldValidation: 'Warn',
  }),
  create('an unknown field of a core kind', ConfigMaps, { dta: { a: 'b' } }),
  create(
    'unknown fields of a core kind, warned of',
    ConfigMaps,
    { dta: { a: 'b' }, metadata: { x: 1 } },
    { fieldValidation: 'Warn' },
  ),
  create('an unknown field in metadata of a core kind', Secrets, { metadata: { label: {} }, foo: 1 }),
  create('a field of a core kind in the wrong case', ConfigMaps, { Data: { a: 'b' } }),
  patch('a merge patch of a core kind with an unknown field', ConfigMaps, {}, 'merge', { foo: 1 }),
  patch(
    'a merge patch of a core kind with an unknown field, warned of',
    ConfigMaps,
    {},
    'merge',
    { foo: 1 },
    { fieldValidation: 'Warn' },
  ),
  patch('an apply with an unknown field', Transfers, spec(), 'apply', { spec: { foo: 1 } }, { fieldManager: 'me' }),
  patch('an apply with a wrong type', Transfers, spec(), 'apply', { spec: { suspend: 'yes' } }, { fieldManager: 'me' }),
];
