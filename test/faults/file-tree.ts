/** A file as far as copies and comparisons can tell files apart. */
export interface ModelFile {
  readonly content: string;
  readonly size: number;
  /** Milliseconds since the epoch; a copy carries it over. */
  readonly mtime: number;
  /** Grows with every change, and nobody can set it, as the kernel's ctime. */
  readonly ctime: number;
}

/** A folder on a server: what a volume or a bind mount holds, by path below it. */
export interface FileTree {
  readonly files: Map<string, ModelFile>;
  changes: number;
}

export function newTree(): FileTree {
  return { files: new Map(), changes: 0 };
}

/** Writes a file; with `stamp` as a copy does, which sets size and time as it was told. */
export function writeFile(
  tree: FileTree,
  path: string,
  content: string,
  stamp: { readonly mtime: number; readonly size?: number },
): void {
  tree.changes++;
  tree.files.set(path, { content, size: stamp.size ?? content.length, mtime: stamp.mtime, ctime: tree.changes });
}

export function removeFile(tree: FileTree, path: string): void {
  if (tree.files.delete(path)) tree.changes++;
}

export function bytesOf(tree: FileTree): number {
  let bytes = 0;
  for (const { size } of tree.files.values()) bytes += size;
  return bytes;
}

/** The contents by path: what an application sees. */
export function contentsOf(tree: FileTree): Map<string, string> {
  return new Map([...tree.files].map(([path, { content }]) => [path, content]));
}
