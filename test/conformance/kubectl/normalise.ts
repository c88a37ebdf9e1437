import { isJsonObject } from '../../../src/home/json.ts';

/** What is different in each run although nothing differs that a user would notice. */
export interface Surroundings {
  /** URL of the API server. */
  readonly server: string;
  /** Where kubectl runs. */
  readonly directory: string;
  readonly namespace: string;
}

export type Normalise = (output: string) => string;

/**
 * Replaces ages, times of today, UIDs, resource versions, generated suffixes, addresses and temporary paths, and nothing
 * else. UIDs are numbered in the order of their appearance, so that mixing them up still shows.
 */
export function createNormaliser(surroundings: Surroundings): Normalise {
  const uids = new Map<string, string>();
  const numbered = (uid: string): string => {
    if (!uids.has(uid)) uids.set(uid, `<uid ${String(uids.size + 1)}>`);
    return uids.get(uid)!;
  };
  const { host } = new URL(surroundings.server);
  return (output) =>
    sortKeys(sortManagers(sortCauses(maskAges(output))))
      .replaceAll(surroundings.directory, '<directory>')
      // As long as the namespace, which columns are aligned by.
      .replaceAll(surroundings.namespace, 'namespace-of-test')
      .replaceAll(host, '<server>')
      .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, numbered)
      .replaceAll(/\b([Gg]enerated-)[bcdfghjklmnpqrstvwxz2456789]{5}\b/g, '$1<suffix>')
      .replaceAll(/(\bresourceVersion(?:\\?")?: ?(?:\\?")?|\bResource Version: +)\d+/g, '$1<version>')
      .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| [+-]\d{4}( UTC)?)/g, maskIfRecent)
      .replaceAll(/\/[\w./-]+\/(kubectl-edit-|LIVE-|MERGED-)\d+/g, '<temporary>/$1')
      // Which side ends a watch first at kubectl's own deadline is chance, and some of its versions log it.
      .replaceAll(/^[WE]\d{4} .* reflector\.go:\d+\] .*\n/gm, '')
      .replaceAll(/^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([\w.]+):\d+\]/gm, '$1 $2]');
}

/** The ages in a table, from its header on or where each line ends with one: cells such as `5s` or `2m10s`. */
function maskAges(output: string): string {
  const header = /^(?:.*\b(?:AGE|LAST SEEN)\b.*| +Type +Reason +Age +.*)$|^(?:.* {3}(?:\d+[smhd]){1,2}\n)+$/m.exec(
    output,
  );
  if (header === null) return output;
  const ages = /(?<=^| {2})(?:\d+[smhd]){1,2}(?: +|$)/gm;
  const rows = output
    .slice(header.index)
    .replaceAll(ages, (cell) => (cell.endsWith(' ') ? 'age'.padEnd(cell.length) : 'age'));
  return output.slice(0, header.index) + rows;
}

/** The causes of an invalid object, each a line with an asterisk: a cluster tells them in random order. */
function sortCauses(output: string): string {
  return output.replaceAll(/(?:^\* .*\n)+/gm, (causes) =>
    causes
      .split(/(?<=\n)/)
      .sort()
      .join(''),
  );
}

/** The entries of managedFields: they are in the order of their times, which are in seconds. */
function sortManagers(output: string): string {
  return output.replaceAll(
    /(?<=^(?<indent> *)managedFields:\n)(?:\k<indent>(?:- | {2}).*\n)+/gm,
    (entries: string, indent: string) =>
      entries
        .split(new RegExp(`^(?=${indent}- )`, 'm'))
        .sort()
        .join(''),
  );
}

/** A JSON answer on one line, its keys in order: which of them a server writes first is nobody's business. */
function sortKeys(output: string): string {
  if (!/^\{.*\}\n?$/.test(output)) return output;
  const inOrder = (_key: string, value: unknown): unknown =>
    isJsonObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
  return output.replace(/\{.*\}/, (json) => JSON.stringify(JSON.parse(json), inOrder));
}

/** A time that a manifest states is long ago and stays; what a server or kubectl stamps is about now. */
function maskIfRecent(time: string): string {
  const parsed = Date.parse(time.replace(/ UTC$/, ''));
  if (Math.abs(Date.now() - parsed) > 24 * 3600 * 1000) return time;
  return `<${time.replaceAll(/\d/g, '0').replace(/\.0+/, (fraction) => `.${String(fraction.length - 1)} digits`)}>`;
}
