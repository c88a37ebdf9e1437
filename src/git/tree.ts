/** One entry below a directory of a commit. */
export interface TreeEntry {
  /** Relative to that directory, with `/`. */
  readonly path: string;
  readonly kind: 'file' | 'link' | 'submodule';
  /** Of its content. */
  readonly id: string;
  /** In bytes; of a link, the length of its target. */
  readonly size: number;
}

/** Reads `git ls-tree -r -z --long`: `mode type id size\tpath\0`. */
export function parseTree(output: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < output.length;) {
    const end = output.indexOf(0, at);
    const record = output.toString('utf8', at, end);
    const tab = record.indexOf('\t');
    const [mode = '', , id = '', size = '0'] = record.slice(0, tab).split(/ +/);
    entries.push({ path: record.slice(tab + 1), kind: kindOf(mode), id, size: Number(size) || 0 });
    at = end + 1;
  }
  return entries;
}

function kindOf(mode: string): TreeEntry['kind'] {
  return mode === '120000' ? 'link' : mode === '160000' ? 'submodule' : 'file';
}

/** @throws RangeError when the path leads out of the repository. */
export function treePath(path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (path.startsWith('/') || parts.includes('..') || /[\0\n]/.test(path)) {
    throw new RangeError(`${JSON.stringify(path)} leads out of the repository`);
  }
  return parts.join('/');
}
