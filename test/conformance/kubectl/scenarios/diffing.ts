import { configMap, documents, service } from '../manifests.ts';
import type { Scenario } from '../scenario.ts';

export const diffing: readonly Scenario[] = [
  {
    title: 'diff shows what apply would change, on both sides',
    everyKubectl: true,
    files: {
      'web.yaml': service('web'),
      'changed.yaml': documents(
        service({ name: 'web', labels: { new: 'label' } }, { container: 'web-2' }),
        service('added'),
      ),
      'bad.yaml': service('web', { container: 7 }),
      'cm.yaml': configMap('settings', { a: '1' }),
      'cm2.yaml': configMap('settings', { a: '2' }),
    },
    steps: [
      { run: 'diff -f web.yaml', exit: 1, says: '+kind: Service' },
      { run: 'diff --server-side -f web.yaml', exit: 1, says: '+kind: Service' },
      { run: 'apply -f web.yaml -f cm.yaml' },
      { run: 'diff -f web.yaml' },
      {
        run: 'diff -f changed.yaml',
        exit: 1,
        says: ['-  container: web\n', '+  container: web-2\n', '+  generation: 2', '+    new: label'],
      },
      { run: 'diff --server-side -f changed.yaml', exit: 1, says: '+  container: web-2\n' },
      { run: 'diff --server-side --force-conflicts -f changed.yaml', exit: 1, says: '+  container: web-2\n' },
      { run: 'diff --server-side --show-managed-fields --force-conflicts -f changed.yaml', exit: 1 },
      { run: 'diff -f cm2.yaml', exit: 1, says: '+  a: "2"' },
      { run: 'diff -f bad.yaml', exit: 2, says: 'spec.container in body must be of type string' },
      { run: 'diff -f web.yaml --prune -l a=b --prune-allowlist=gridferry.io/v1alpha1/Service' },
      { run: 'get gsvc web -o jsonpath={.spec.container}/{.metadata.generation}', says: 'web/1' },
    ],
  },
];
