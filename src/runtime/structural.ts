/**
 * Whether two JSON values are the same. A property that is `undefined` counts as absent, because that is what it becomes
 * on the wire. Order of properties does not matter, order of lists does.
 */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return typeof a === 'number' && typeof b === 'number' && Number.isNaN(a) && Number.isNaN(b);
  }
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!deepEqual(a[i], b[i])) return false;
    return true;
  }
  if (Array.isArray(b)) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  let present = 0;
  for (const name of Object.keys(left)) {
    const value = left[name];
    if (value === undefined) continue;
    present++;
    if (!Object.hasOwn(right, name) || !deepEqual(value, right[name])) return false;
  }
  for (const name of Object.keys(right)) if (right[name] !== undefined) present--;
  return present === 0;
}

/** A deep copy of a JSON value; several times as fast as `structuredClone`, which counts where one is made at every visit. */
export function plainCopy<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plainCopy) as T;
  const copy: Record<string, unknown> = {};
  for (const key in value) copy[key] = plainCopy((value as Record<string, unknown>)[key]);
  return copy as T;
}
