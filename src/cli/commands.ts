import type { Command } from 'commander';

/** A command as `--help` lists it; what it is made of is loaded when somebody uses it. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly hidden?: true;
  readonly load: () => Promise<(program: Command) => void>;
}

/** Every command, in the order of `--help`. */
export const commandEntries: readonly CommandEntry[] = [
  {
    name: 'run',
    summary: 'make the servers agree with a directory of YAML, or with a cluster, until stopped',
    load: async () => (await import('./run.ts')).registerRun,
  },
  {
    name: 'validate',
    summary: 'check a directory of YAML without doing anything',
    load: async () => (await import('./validate.ts')).registerValidate,
  },
  {
    name: 'plan',
    summary: 'say what transfers would do, how long it would take, and what stands in the way',
    load: async () => (await import('./plan.ts')).registerPlan,
  },
  {
    name: 'get',
    summary: 'list objects, or show some by name',
    load: async () => (await import('./get.ts')).registerGet,
  },
  {
    name: 'describe',
    summary: 'show an object in full, with its events',
    load: async () => (await import('./describe.ts')).registerDescribe,
  },
  {
    name: 'watch',
    summary: 'show transfers as they go on: phase, step, bar, rate, time left',
    load: async () => (await import('./watch.ts')).registerWatch,
  },
  {
    name: 'logs',
    summary: 'print the log of a transfer',
    load: async () => (await import('./logs.ts')).registerLogs,
  },
  {
    name: 'events',
    summary: 'list what happened, oldest first',
    load: async () => (await import('./events.ts')).registerEvents,
  },
  {
    name: 'reconcile',
    summary: 'look at something now instead of when its time comes',
    load: async () => (await import('./reconcile.ts')).registerReconcile,
  },
  {
    name: 'audit',
    summary: 'check that nobody changed the audit log, or read it',
    load: async () => (await import('./audit.ts')).registerAudit,
  },
  {
    name: 'kubeconfig',
    summary: 'print where the kubeconfig of the local home is, for kubectl',
    load: async () => (await import('./kubeconfig.ts')).registerKubeconfig,
  },
  {
    name: 'install',
    summary: 'print the YAML that installs Gridferry in a Kubernetes cluster',
    load: async () => (await import('./install.ts')).registerInstall,
  },
  {
    name: 'sandbox',
    summary: 'run a fleet of servers on this Linux machine, to try things on',
    load: async () => (await import('./sandbox.ts')).registerSandbox,
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands in your shell',
    load: async () => (await import('./completion.ts')).registerCompletion,
  },
  {
    name: '__complete',
    summary: 'what the last word may become',
    hidden: true,
    load: async () => (await import('./completion.ts')).registerComplete,
  },
  {
    name: 'version',
    summary: 'print the version',
    load: async () => (await import('./version.ts')).registerVersion,
  },
];
