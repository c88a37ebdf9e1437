import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { packageVersion } from './version.ts';

interface InstallCommandOptions {
  readonly namespace: string;
  readonly image: string;
  readonly replicas: number;
  readonly watchNamespace?: string;
  readonly egressPort?: readonly number[];
  readonly crdsOnly?: true;
}

export function registerInstall(program: Command): void {
  program
    .command('install')
    .description(
      'Prints the CustomResourceDefinitions, and a Namespace with all that the replicas need. Nothing is changed:\n\n' +
        '  gridferry install --image registry.example.com/gridferry:1 | kubectl apply --server-side -f -',
    )
    .option('--namespace <name>', 'where the replicas run', namespaceName, 'gridferry-system')
    .option('--image <reference>', 'the image they run; deploy/Dockerfile makes it', `gridferry:${packageVersion()}`)
    .option('--replicas <count>', 'how many: one leads, the others stand by', inRange(1, 99), 2)
    .option(
      '--watch-namespace <name>',
      'reconcile this namespace only, with Roles instead of ClusterRoles',
      namespaceName,
    )
    .option(
      '--egress-port <port>',
      'another port that servers are reached at, for the NetworkPolicy; may be repeated',
      (text: string, before: readonly number[] | undefined) => [...(before ?? []), inRange(1, 65_535)(text)],
    )
    .option('--crds-only', 'print the CustomResourceDefinitions alone')
    .action(async ({ crdsOnly, watchNamespace, egressPort, ...options }: InstallCommandOptions) => {
      const [{ definitions, installation }, { stringify }] = await Promise.all([
        import('../install/manifests.ts'),
        import('yaml'),
      ]);
      const objects =
        crdsOnly === true
          ? definitions()
          : installation({
              ...options,
              ...(watchNamespace === undefined ? {} : { watchNamespace }),
              ...(egressPort === undefined ? {} : { egressPorts: egressPort }),
            });
      const documents = objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }));
      process.stdout.write(documents.join('---\n'));
    });
}

/** RFC 1123, as the API server has it. */
function namespaceName(text: string): string {
  if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw new InvalidArgumentError('A namespace has lower-case letters, digits and "-", and at most 63 of them.');
}

function inRange(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It takes a number from ${least} to ${most}.`);
  };
}
