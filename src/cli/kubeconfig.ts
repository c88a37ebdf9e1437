import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { GridferryError } from '../errors.ts';
import { standardOutput } from './output.ts';
import { findState } from './state-directory.ts';

export function registerKubeconfig(program: Command): void {
  program
    .command('kubeconfig')
    .description(
      'Prints where the kubeconfig of a local home is, for kubectl and other clients:\n\n' +
        '  export KUBECONFIG=$(gridferry kubeconfig)',
    )
    .option('--state <directory>', 'the state of the run')
    .action(({ state }: { readonly state?: string }) => {
      const { path, note } = findState(state);
      const file = join(path, 'kubeconfig');
      if (!existsSync(file)) {
        throw new GridferryError(
          'GF_CLI_NO_KUBECONFIG',
          `${path} has no kubeconfig yet: "gridferry run" writes it when it starts to serve the API.`,
        );
      }
      if (note !== undefined) standardOutput.note(note);
      standardOutput.print(file);
    });
}
