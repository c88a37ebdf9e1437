import { posix } from 'node:path';

/** Where a compose project came from, as far as its containers' labels tell. */
export interface ComposeProject {
  readonly project: string;
  readonly workingDir: string;
  /** Absolute. */
  readonly configFiles: readonly string[];
  /** Absolute; named by `--env-file`, which compose writes down. The `.env` beside them is not in the labels. */
  readonly envFiles: readonly string[];
}

export const COMPOSE = {
  project: 'com.docker.compose.project',
  service: 'com.docker.compose.service',
  oneOff: 'com.docker.compose.oneoff',
  dependsOn: 'com.docker.compose.depends_on',
  number: 'com.docker.compose.container-number',
  workingDir: 'com.docker.compose.project.working_dir',
  configFiles: 'com.docker.compose.project.config_files',
  envFile: 'com.docker.compose.project.environment_file',
} as const;

type Labels = Readonly<Record<string, string>>;

/** Reads the project out of the labels of its containers; `undefined` when they are of no project, or of several. */
export function composeProjectOf(containers: readonly Labels[]): ComposeProject | undefined {
  const projects = new Set(containers.map((labels) => labels[COMPOSE.project] ?? ''));
  const [project = ''] = projects;
  if (projects.size !== 1 || project === '') return undefined;
  const workingDir = containers.map((labels) => labels[COMPOSE.workingDir] ?? '').find((dir) => dir !== '') ?? '';
  return {
    project,
    workingDir,
    configFiles: filesOf(containers, COMPOSE.configFiles, workingDir),
    envFiles: filesOf(containers, COMPOSE.envFile, workingDir),
  };
}

/** Labels may come from several `compose up` with different files: all of them belong to the project. */
function filesOf(containers: readonly Labels[], label: string, workingDir: string): string[] {
  const files = containers.flatMap((labels) => (labels[label] ?? '').split(','));
  const absolute = files
    .map((file) => file.trim())
    // "-" is a configuration read from standard input: there is no file of it.
    .filter((file) => file !== '' && file !== '-')
    .map((file) => (file.startsWith('/') ? posix.normalize(file) : posix.resolve('/', workingDir, file)));
  return [...new Set(absolute)];
}

export function isOneOff(labels: Labels): boolean {
  return labels[COMPOSE.oneOff]?.toLowerCase() === 'true';
}

/** `db:service_healthy:false,cache:service_started:true` → the services' names. */
export function dependsOn(labels: Labels): string[] {
  return (labels[COMPOSE.dependsOn] ?? '')
    .split(',')
    .map((entry) => entry.split(':')[0]?.trim() ?? '')
    .filter((service) => service !== '');
}
