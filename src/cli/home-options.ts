import type { Command } from 'commander';

/** Which home a command means, and which namespace in it. */
export interface HomeOptions {
  readonly state?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
}

/** The options by which a reading command is told its home. */
export function withHomeOptions(command: Command): Command {
  return command
    .option('-n, --namespace <name>', 'namespace to look in (default: that of the context, else "default")')
    .option('--state <directory>', 'local home: the state of a run')
    .option('--kubeconfig <file>', 'cluster: how to reach it')
    .option('--context <name>', 'cluster: the context of the kubeconfig')
    .addHelpText(
      'after',
      '\nThe home is the one named by --state, --kubeconfig or --context; else by GRIDFERRY_STATE; else the local one of this\n' +
        'directory, or the one used last; and where there is none, the cluster of KUBECONFIG, ~/.kube/config or this Pod.',
    );
}
