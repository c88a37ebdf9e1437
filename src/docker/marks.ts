import { GridferryError } from '../errors.ts';

/** Labels that say whose an object is, such as `{'gridferry.io/transfer': uid}`. */
export type Marks = Readonly<Record<string, string>>;

/** Without marks, "mine" would mean "everybody's". */
export function requireMarks(marks: Marks): void {
  const entries = Object.entries(marks);
  if (entries.length === 0 || entries.some(([key, value]) => key === '' || value === '')) {
    throw new GridferryError(
      'GF_DOCKER_MARKS_REQUIRED',
      'Objects on a server are made and removed only under a mark; name at least one label with a value.',
    );
  }
}

export function carries(labels: Readonly<Record<string, string>> | null | undefined, marks: Marks): boolean {
  return Object.entries(marks).every(([key, value]) => labels?.[key] === value);
}

export function nameTaken(kind: string, name: string, where: string): GridferryError {
  return new GridferryError(
    'GF_DOCKER_NAME_TAKEN',
    `There is already a ${kind} named ${name} on ${where} that this transfer did not make; rename or remove it, or choose another target.`,
  );
}
