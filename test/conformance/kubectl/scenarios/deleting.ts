import { configMap, documents, service } from '../manifests.ts';
import type { Scenario, Step } from '../scenario.ts';

const create = (...names: readonly string[]): Step => ({
  run: 'create -f -',
  stdin: documents(...names.map((name) => service({ name, labels: { app: name } }))),
});
const held = (name: string): Step => ({
  run: 'create -f -',
  stdin: service({ name, finalizers: ['example.org/hold'] }),
});
const release = (name: string): Step => ({
  run: `patch gsvc ${name} --type=json -p '[{"op":"remove","path":"/metadata/finalizers"}]'`,
});
const owned = (name: string, owner: string, blocks: boolean): string =>
  configMap(
    {
      name,
      ownerReferences: [
        {
          apiVersion: 'gridferry.io/v1alpha1',
          kind: 'Service',
          name: owner,
          uid: '${uid}',
          blockOwnerDeletion: blocks,
        },
      ],
    },
    { a: '1' },
  );
/** An owner with two things it owns, one of which keeps it until it has gone. */
const family = (owner: string): readonly Step[] => [
  create(owner),
  { run: `get gsvc ${owner} -o jsonpath={.metadata.uid}`, keep: 'uid' },
  { run: 'create -f -', stdin: documents(owned(`${owner}-kept`, owner, true), owned(`${owner}-free`, owner, false)) },
];

export const deleting: readonly Scenario[] = [
  {
    title: 'delete removes by name, file, label, or all, and says what is not there',
    everyKubectl: true,
    files: { 'web.yaml': service('web') },
    steps: [
      create('a', 'b', 'c', 'd', 'e', 'f'),
      { run: 'create -f web.yaml' },
      { run: 'delete gsvc a', says: 'service.gridferry.io "a" deleted' },
      { run: 'delete gsvc a', exit: 1, says: 'Error from server (NotFound): services.gridferry.io "a" not found' },
      { run: 'delete gsvc a --ignore-not-found' },
      { run: 'delete gsvc a b', exit: 1 },
      { run: 'delete gsvc/c ms/ghost', exit: 1 },
      { run: 'delete gsvc -l app=d' },
      { run: 'delete gsvc -l app=nobody', says: 'No resources found' },
      { run: 'delete -f web.yaml' },
      { run: 'delete -f web.yaml', exit: 1 },
      { run: 'delete gsvc e -o name' },
      { run: 'delete gsvc --all', says: 'service.gridferry.io "f" deleted' },
      { run: 'delete gsvc --all' },
      { run: 'delete gsvc', exit: 1 },
      { run: 'delete wombats --all', exit: 1 },
      { run: 'get gsvc' },
    ],
  },
  {
    title: 'a finalizer holds the object until it is taken off',
    everyKubectl: true,
    steps: [
      held('slow'),
      { run: 'delete gsvc slow --wait=false', says: 'service.gridferry.io "slow" deleted' },
      { run: 'get gsvc slow -o yaml', says: ['deletionTimestamp: "<', 'deletionGracePeriodSeconds: 0'] },
      { run: 'delete gsvc slow --timeout=3s', exit: 1, says: 'timed out waiting for the condition' },
      {
        run: `patch gsvc slow --type=merge -p '{"metadata":{"finalizers":["example.org/hold","example.org/more"]}}'`,
        exit: 1,
      },
      { run: 'label gsvc slow still=here' },
      { run: 'describe gsvc slow', says: 'Deletion Timestamp' },
      { run: 'delete gsvc slow', meanwhile: [release('slow')] },
      { run: 'get gsvc slow', exit: 1 },
    ],
  },
  {
    title: '--force, --now and --grace-period delete at once',
    steps: [
      create('a', 'b', 'c', 'd'),
      held('stuck'),
      {
        run: 'delete gsvc a --force',
        says: 'Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated.',
      },
      { run: 'delete gsvc b --now' },
      { run: 'delete gsvc c --grace-period=5' },
      { run: 'delete gsvc d --grace-period=0 --force' },
      { run: 'delete gsvc stuck --force --wait=false' },
      { run: 'get gsvc -o name', says: 'service.gridferry.io/stuck' },
      release('stuck'),
    ],
  },
  {
    title: 'background deletion removes what was owned afterwards',
    steps: [
      ...family('boss'),
      { run: 'delete gsvc boss --cascade=background', says: 'service.gridferry.io "boss" deleted' },
      { run: 'get cm boss-kept boss-free --ignore-not-found', until: /^$/ },
    ],
  },
  {
    title: 'foreground deletion removes what is owned first',
    steps: [
      ...family('boss'),
      { run: `patch cm boss-kept --type=merge -p '{"metadata":{"finalizers":["example.org/hold"]}}'` },
      { run: 'delete gsvc boss --cascade=foreground --wait=false' },
      { run: 'get cm boss-free --ignore-not-found', until: /^$/ },
      { run: 'get cm boss-kept -o jsonpath={.metadata.deletionTimestamp}', until: /\d/ },
      { run: 'get gsvc boss -o yaml', says: ['- foregroundDeletion', 'deletionTimestamp: "<'] },
      { run: `patch cm boss-kept --type=merge -p '{"metadata":{"finalizers":null}}'` },
      { run: 'wait gsvc/boss --for=delete --timeout=60s' },
      { run: 'get cm boss-kept', exit: 1 },
    ],
  },
  {
    title: 'orphans stay, without the reference to their owner',
    steps: [
      ...family('boss'),
      { run: 'delete gsvc boss --cascade=orphan' },
      { run: 'get cm boss-kept boss-free -o yaml', says: ['name: boss-kept', 'name: boss-free'] },
      { run: 'delete cm boss-kept --cascade=nonsense', exit: 1 },
    ],
  },
  {
    title: 'what names an owner that never was is collected',
    steps: [
      {
        run: 'create -f -',
        stdin: configMap(
          {
            name: 'stray',
            ownerReferences: [
              {
                apiVersion: 'gridferry.io/v1alpha1',
                kind: 'Service',
                name: 'ghost',
                uid: '01234567-89ab-cdef-0123-456789abcdef',
              },
            ],
          },
          {},
        ),
      },
      { run: 'get cm stray --ignore-not-found', until: /^$/ },
    ],
  },
];
