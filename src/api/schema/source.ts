import { z } from 'zod';
import { conditions, count, duration, observedGeneration, rules, text, timestamp } from './building-blocks.ts';

export const sourceSpec = z
  .object({
    type: z.enum(['Git', 'Directory']).meta({ description: 'What the manifests are read from.' }),
    url: z
      .string()
      .min(1)
      .max(4096)
      .meta({ description: 'Where it is: the URL of the repository, or the path of the directory.' }),
    branch: z.string().min(1).max(255).optional().meta({ description: 'The branch that is followed.' }),
    path: z.string().max(4096).optional().meta({ description: 'The directory in the repository; absent: its root.' }),
    interval: duration('How often the repository is asked for something new.').optional(),
  })
  .meta({
    description: 'What `gridferry run` was told on its command line. A change is overwritten at its next start.',
    ...rules({
      rule: "self.type == 'Git' || (!has(self.branch) && !has(self.path) && !has(self.interval))",
      message: 'branch, path and interval are for type Git',
    }),
  });

const problem = z.object({
  file: text('The file, relative to the directory.'),
  line: count('Line, from 1.'),
  column: count('Column, from 1.'),
  field: text('The field, such as spec.targetServerRef.name.').optional(),
  code: text('Code of the error; docs/errors.md has an entry for each.'),
  message: text('What is wrong, and what to do.'),
});

export const sourceStatus = z
  .object({
    observedGeneration: observedGeneration.optional(),
    conditions: conditions.optional(),
    revision: text('What is applied, for people: branch@commit.').optional(),
    lastAppliedRevision: text('The commit whose objects have all been applied last.').optional(),
    lastAttemptedRevision: text('The newest commit that was looked at, whether or not it could be applied.').optional(),
    lastFetchedAt: timestamp('When the remote last answered; refreshed every few minutes while it does.').optional(),
    lastHandledReconcileAt: text(
      'The value of the annotation gridferry.io/reconcile-requested-at that was last acted on.',
    ).optional(),
    files: count('How many manifests there are.').optional(),
    objects: count('How many objects they define.').optional(),
    problems: z
      .array(problem)
      .max(50)
      .optional()
      .meta({ description: 'What is wrong with the newest manifests, the first fifty.' }),
  })
  .meta({ description: 'How far the resources follow the source.' });
