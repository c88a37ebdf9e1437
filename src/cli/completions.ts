import type { Command, Option } from 'commander';
import { servedTypes } from '../api/resources.ts';
import { withHome } from './home.ts';
import { typesNamed } from './kinds.ts';

/**
 * What the last word may become: commands, options and their choices, kinds, and the names of objects where a state is
 * there to look them up in.
 */
export async function completions(program: Command, words: readonly string[]): Promise<string[]> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  let command = program;
  const positional: string[] = [];
  for (let index = 0; index < before.length; index++) {
    const word = before[index] ?? '';
    const option = optionNamed(command, word);
    if (option !== undefined) {
      if (takesValue(option) && !word.includes('=')) {
        index++;
        if (index === before.length) return matching(option.argChoices ?? [], current);
      }
      continue;
    }
    const sub = positional.length === 0 ? command.commands.find((candidate) => candidate.name() === word) : undefined;
    if (sub !== undefined) command = sub;
    else positional.push(word);
  }
  if (current.startsWith('-')) return matching(command.options.map(({ long }) => long ?? '').concat('--help'), current);
  if (command.commands.length > 0) {
    const shown = command.createHelp().visibleCommands(command);
    return matching(
      shown.map((sub) => sub.name()),
      current,
    );
  }
  return matching(await argumentsOf(command, positional, optionValue(before, '-n', '--namespace'), before), current);
}

async function argumentsOf(
  command: Command,
  positional: readonly string[],
  namespace: string | undefined,
  before: readonly string[],
): Promise<string[]> {
  switch (command.name()) {
    case 'get':
    case 'describe': {
      const [kind] = positional;
      return kind === undefined
        ? ['all', ...servedTypes.map(({ singular }) => singular)]
        : namesOf(kind, namespace, before);
    }
    case 'logs':
    case 'watch':
      return namesOf('transfers', namespace, before);
    default:
      return command.registeredArguments[positional.length]?.argChoices?.slice() ?? [];
  }
}

async function namesOf(kind: string, namespace: string | undefined, before: readonly string[]): Promise<string[]> {
  try {
    const [type] = typesNamed(kind);
    if (type === undefined) return [];
    const options = Object.fromEntries(
      (['state', 'kubeconfig', 'context'] as const).flatMap((name) => {
        const value = optionValue(before, `--${name}`);
        return value === undefined ? [] : [[name, value]];
      }),
    );
    return await withHome({ ...options, ...(namespace === undefined ? {} : { namespace }) }, async (client, scope) => {
      const { items } = await client.list(type, { ...(type.namespaced ? { namespace: scope } : {}), limit: 200 });
      return items.map(({ metadata }) => metadata.name);
    });
  } catch {
    // Completion has nobody to complain to: without a state there are no names.
    return [];
  }
}

function optionNamed(command: Command, word: string): Option | undefined {
  const [name] = word.split('=');
  return command.options.find(({ short, long }) => name !== undefined && (name === short || name === long));
}

function takesValue({ required, optional }: Option): boolean {
  return required || optional;
}

function optionValue(words: readonly string[], ...names: readonly string[]): string | undefined {
  const at = words.findLastIndex((word) => names.includes(word));
  return at === -1 ? undefined : words[at + 1];
}

function matching(candidates: readonly string[], prefix: string): string[] {
  return candidates.filter((candidate) => candidate !== '' && candidate.startsWith(prefix)).sort();
}
