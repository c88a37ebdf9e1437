import { nearest } from '../api/nearest.ts';
import type { ResourceType } from '../api/meta.ts';
import { localTypes } from '../api/resources.ts';
import { GridferryError } from '../errors.ts';
import { usageError } from './cli-error.ts';

/** What a command line asks for: kinds, and the names among them (none: all). */
export interface Wanted {
  readonly type: ResourceType;
  readonly names: readonly string[];
}

/** All names that a kind can be called by. */
export function namesOf(type: ResourceType): string[] {
  const { plural, singular, shortNames, kind, group, version } = type;
  const full =
    group === '' ? [] : [plural, singular].flatMap((name) => [`${name}.${group}`, `${name}.${version}.${group}`]);
  return [plural, singular, ...shortNames, kind.toLowerCase(), ...full];
}

/**
 * The kinds that a word means: a name of one, or a category (`gridferry`; `all` is the same).
 *
 * @throws GridferryError `GF_CLI_UNKNOWN_KIND`, with the nearest name.
 */
export function typesNamed(word: string, types: readonly ResourceType[] = localTypes): ResourceType[] {
  const name = word.toLowerCase();
  const exact = types.find((type) => namesOf(type).includes(name));
  if (exact !== undefined) return [exact];
  const category = name === 'all' ? 'gridferry' : name;
  const group = types.filter((type) => type.categories.includes(category));
  if (group.length > 0) return group;
  const guess = nearest(name, [...types.flatMap((type) => [type.plural, type.singular]), 'all']);
  const hint =
    guess === undefined ? `there are ${types.map((type) => type.plural).join(', ')}` : `did you mean "${guess}"?`;
  throw new GridferryError('GF_CLI_UNKNOWN_KIND', `There is no kind "${word}": ${hint}`);
}

/**
 * Reads `kind`, `kind,kind`, `kind name…` and `kind/name…`, as kubectl does.
 *
 * @throws GridferryError `GF_CLI_UNKNOWN_KIND`, `GF_CLI_USAGE`
 */
export function parseWanted(words: readonly string[], types: readonly ResourceType[] = localTypes): Wanted[] {
  const [first, ...names] = words;
  if (first === undefined) throw usageError(`Say what: one of ${types.map((type) => type.plural).join(', ')}, or all.`);
  if (words.some((word) => word.includes('/'))) return parsePairs(words, types);
  const found = first
    .split(',')
    .filter((word) => word !== '')
    .flatMap((word) => typesNamed(word, types));
  const unique = [...new Set(found)];
  if (unique.length === 0) throw usageError(`"${first}" names no kind.`);
  if (names.length > 0 && unique.length > 1) {
    throw usageError('Names go with one kind only; for several kinds write kind/name for each.');
  }
  return unique.map((type) => ({ type, names }));
}

function parsePairs(words: readonly string[], types: readonly ResourceType[]): Wanted[] {
  const wanted: { type: ResourceType; names: string[] }[] = [];
  for (const word of words) {
    const [kind = '', name = '', ...rest] = word.split('/');
    if (kind === '' || name === '' || rest.length > 0) {
      throw usageError(`"${word}" is not kind/name; write every object so, or none.`);
    }
    const [type, another] = typesNamed(kind, types);
    if (type === undefined || another !== undefined) throw usageError(`"${kind}" is not one kind: name it.`);
    const last = wanted.at(-1);
    if (last?.type === type) last.names.push(name);
    else wanted.push({ type, names: [name] });
  }
  return wanted;
}

/** Such as `transfer.gridferry.io/move-web`, or `secret/token`. */
export function qualifiedName(type: ResourceType, name: string): string {
  return `${type.group === '' ? type.singular : `${type.singular}.${type.group}`}/${name}`;
}
