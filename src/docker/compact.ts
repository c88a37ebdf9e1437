/** Fields whose zero is a choice and not the absence of one. */
const MEANINGFUL_ZERO: ReadonlySet<string> = new Set([
  'MemorySwappiness',
  'StopTimeout',
  'Init',
  'MaskedPaths',
  'ReadonlyPaths',
]);

/**
 * An object without what means "not set": engines of different versions write it as null, as an empty value, or not at
 * all. `{}` as a value inside a set (`ExposedPorts`) stays, because there the key is the information.
 */
export function compact(object: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(object)) {
    if (value === null || value === undefined) continue;
    if (!MEANINGFUL_ZERO.has(key) && isEmpty(value)) continue;
    result[key] = value;
  }
  return result;
}

function isEmpty(value: unknown): boolean {
  if (value === '' || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** An object without some of its fields. */
export function without(object: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** JSON with sorted keys, for comparing. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
