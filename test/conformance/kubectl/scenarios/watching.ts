import { documents, event, service } from '../manifests.ts';
import type { Scenario, Step } from '../scenario.ts';

const condition = (status: 'True' | 'False'): string =>
  JSON.stringify({
    status: {
      conditions: [
        { type: 'Ready', status, reason: 'Told', message: 'told', lastTransitionTime: '2001-02-03T04:05:06Z' },
      ],
      server: 'beta',
      // Without it, `wait` takes the conditions for those of an older spec.
      observedGeneration: 1,
    },
  });
const setStatus = (name: string, status: 'True' | 'False' = 'True'): Step => ({
  run: `patch gsvc ${name} --subresource=status --type=merge --patch '${condition(status)}'`,
});
const create = (...names: readonly string[]): Step => ({
  run: 'create -f -',
  stdin: documents(...names.map((name) => service({ name, labels: { app: name } }))),
});
const changes: readonly Step[] = [
  create('beta'),
  { run: 'label gsvc alpha colour=blue' },
  setStatus('alpha'),
  { run: 'delete gsvc alpha' },
];

export const watching: readonly Scenario[] = [
  {
    title: 'get -w prints what is there, then every change',
    everyKubectl: true,
    steps: [create('alpha'), { run: 'get gsvc -w', lines: 6, meanwhile: changes, says: /^alpha +beta .* web /m }],
  },
  {
    title: 'get --watch-only prints changes alone',
    steps: [
      create('alpha'),
      {
        run: 'get gsvc --watch-only --output-watch-events',
        lines: 5,
        meanwhile: changes,
        says: ['ADDED', 'MODIFIED', 'DELETED'],
      },
    ],
  },
  {
    title: 'a watch of one name leaves the others out',
    steps: [create('alpha'), { run: 'get gsvc alpha -w', lines: 5, meanwhile: changes }],
  },
  {
    title: 'watches print names, YAML, JSON and columns',
    steps: [
      create('alpha'),
      { run: 'get gsvc -w -o name', lines: 5, meanwhile: changes },
      create('alpha'),
      { run: 'get gsvc alpha -w -o yaml', lines: 30, meanwhile: [setStatus('alpha')] },
      { run: 'get gsvc -w -o json --watch-only', lines: 20, meanwhile: [{ run: 'annotate gsvc alpha note=x' }] },
      {
        run: `get gsvc --watch-only -o custom-columns=NAME:.metadata.name`,
        lines: 2,
        meanwhile: [{ run: 'annotate gsvc alpha note=y --overwrite' }],
      },
    ],
  },
  {
    title: 'a watch by label sees an object come and go as its labels change',
    steps: [
      create('alpha'),
      {
        run: 'get gsvc -w -l colour=blue --output-watch-events',
        lines: 4,
        meanwhile: [
          { run: 'label gsvc alpha colour=blue' },
          { run: 'label gsvc alpha app=changed --overwrite' },
          { run: 'label gsvc alpha colour=red --overwrite' },
          { run: 'label gsvc alpha colour-' },
        ],
        says: ['ADDED', 'DELETED'],
      },
    ],
  },
  {
    title: 'a watch across namespaces shows the namespace',
    steps: [
      create('alpha'),
      {
        run: 'get gsvc -A -w -l app=${namespace}',
        lines: 2,
        meanwhile: [{ run: 'label gsvc alpha app=${namespace} --overwrite' }],
        says: /^NAMESPACE +NAME/m,
      },
    ],
  },
  {
    title: 'wait sees conditions, fields, creation and deletion',
    everyKubectl: true,
    steps: [
      create('alpha', 'beta'),
      {
        run: 'wait gsvc/alpha --for=condition=Ready',
        meanwhile: [setStatus('alpha')],
        says: 'service.gridferry.io/alpha condition met',
      },
      { run: 'wait gsvc/alpha --for=condition=Ready=true' },
      { run: 'wait gsvc/alpha --for=condition=Ready=false', meanwhile: [setStatus('alpha', 'False')] },
      { run: 'wait gsvc/alpha --for=jsonpath={.status.server}=beta' },
      {
        run: `wait gsvc/alpha '--for=jsonpath={.status.conditions[?(@.type=="Ready")].status}=True'`,
        meanwhile: [setStatus('alpha')],
      },
      { run: 'wait gsvc/alpha --for=jsonpath={.spec.container}' },
      { run: 'wait gsvc/beta --for=jsonpath={.status.server}', meanwhile: [setStatus('beta')] },
      { run: 'wait gsvc --all --for=condition=Ready', says: 'service.gridferry.io/beta condition met' },
      { run: 'wait gsvc -l app=beta --for=condition=Ready' },
      {
        run: 'wait gsvc/alpha --for=delete',
        meanwhile: [{ run: 'delete gsvc alpha' }],
        says: 'service.gridferry.io/alpha condition met',
      },
      { run: 'wait gsvc/alpha --for=delete' },
      {
        run: 'wait gsvc/gamma --for=create --timeout=20s',
        meanwhile: [create('gamma')],
        says: 'service.gridferry.io/gamma condition met',
      },
      { run: 'wait gsvc/gamma --for=create' },
    ],
  },
  {
    title: 'wait gives up after its timeout, and says what it does not understand',
    steps: [
      create('alpha'),
      {
        run: 'wait gsvc/alpha --for=condition=Ready --timeout=3s',
        exit: 1,
        says: 'error: timed out waiting for the condition on services/alpha',
      },
      { run: 'wait gsvc/alpha --for=jsonpath={.status.server}=x --timeout=3s', exit: 1 },
      { run: 'wait gsvc/alpha --for=delete --timeout=3s', exit: 1 },
      { run: 'wait gsvc/alpha --for=condition=Ready --timeout=0s', exit: 1 },
      { run: 'wait gsvc/ghost --for=condition=Ready --timeout=3s', exit: 1, says: 'NotFound' },
      { run: 'wait gsvc/ghost --for=create --timeout=1s', exit: 1 },
      { run: 'wait gsvc/alpha --for=nonsense', exit: 1 },
      { run: 'wait gsvc --all -l app=nobody --for=condition=Ready', exit: 1 },
    ],
  },
  {
    title: 'events -w prints events as they come',
    steps: [
      create('alpha'),
      { run: 'get gsvc alpha -o jsonpath={.metadata.uid}', keep: 'uid' },
      {
        run: 'events -w',
        lines: 2,
        meanwhile: [
          {
            run: 'create -f -',
            stdin: event(
              'alpha.1',
              { kind: 'Service', name: 'alpha', uid: '${uid}' },
              { type: 'Normal', reason: 'Seen', message: 'hello', lastTimestamp: '2001-02-03T04:05:06Z' },
            ),
          },
        ],
        says: 'hello',
      },
    ],
  },
];
