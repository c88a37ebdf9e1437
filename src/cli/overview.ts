import { commandEntries } from './commands.ts';

/** What `gridferry --help` prints. It needs nothing but the names, so that it is there at once. */
export function overview(): string {
  const shown = commandEntries.filter(({ hidden }) => hidden !== true);
  const width = Math.max(...shown.map(({ name }) => name.length)) + 2;
  return `Usage: gridferry <command> [options]

Moves services between plain Docker servers, declaratively: YAML in a directory, or in a
Kubernetes cluster, says what shall be where.

Commands:
${shown.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`).join('\n')}

"gridferry help <command>" shows how to use one.

Start with:  gridferry run <directory>   and look at it with:  gridferry get all
`;
}
