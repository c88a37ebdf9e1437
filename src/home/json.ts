export type JsonObject = Record<string, unknown>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Equality of JSON values; the order of keys does not count, `undefined` members are as good as absent. */
export function jsonEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!jsonEqual(a[i], b[i])) return false;
    return true;
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  let members = 0;
  for (const key of Object.keys(a)) {
    if (a[key] === undefined) continue;
    if (!Object.hasOwn(b, key) || !jsonEqual(a[key], b[key])) return false;
    members++;
  }
  for (const key of Object.keys(b)) if (b[key] !== undefined) members--;
  return members === 0;
}

/**
 * `next` with the parts of `old` in place of those that are equal to them: what a write left as it was can then be told by
 * its identity. Neither is changed.
 */
export function sharingParts(next: unknown, old: unknown): unknown {
  if (next === old) return old;
  if (Array.isArray(next)) return Array.isArray(old) ? sharingItems(next, old) : next;
  return isJsonObject(next) && isJsonObject(old) ? sharingMembers(next, old) : next;
}

/** The same for each member, in place. */
export function shareMembers(next: JsonObject, old: JsonObject): void {
  for (const name of Object.keys(next)) setMember(next, name, sharingParts(next[name], memberOf(old, name)));
}

function memberOf(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function sharingItems(next: readonly unknown[], old: readonly unknown[]): readonly unknown[] {
  let result: unknown[] | undefined;
  for (let i = 0; i < next.length; i++) {
    const shared = sharingParts(next[i], old[i]);
    if (result === undefined && shared !== old[i]) result = old.slice(0, i);
    result?.push(shared);
  }
  if (result !== undefined) return result;
  return next.length === old.length ? old : old.slice(0, next.length);
}

function sharingMembers(next: JsonObject, old: JsonObject): JsonObject {
  const names = Object.keys(next);
  let result: JsonObject | undefined;
  for (const [index, name] of names.entries()) {
    const before = memberOf(old, name);
    const shared = sharingParts(next[name], before);
    if (result === undefined && shared !== before) result = pick(old, names.slice(0, index));
    if (result !== undefined) setMember(result, name, shared);
  }
  if (result !== undefined) return result;
  return names.length === Object.keys(old).length ? old : pick(old, names);
}

function pick(object: JsonObject, names: readonly string[]): JsonObject {
  const result: JsonObject = {};
  for (const name of names) if (Object.hasOwn(object, name)) setMember(result, name, object[name]);
  return result;
}

/** A deep copy, as JSON sees it. Throws a TypeError on cycles and big integers. */
export function jsonCopy<T>(value: T): T {
  try {
    return copyOf(value) as T;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // Too deep for this stack, or a cycle: JSON itself can tell.
    return throughJson(value) as T;
  }
}

/** Several times as fast as JSON for plain data; all else goes through JSON. `undefined` is what JSON leaves out. */
function copyOf(value: unknown): unknown {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
  if (Number.isSafeInteger(value)) return Number(value) + 0;
  if (Array.isArray(value)) return Array.from(value, (item) => copyOf(item) ?? null);
  if (!isJsonObject(value) || !isPlain(value)) return throughJson(value);
  const copy: JsonObject = {};
  for (const name of Object.keys(value)) {
    const member = copyOf(value[name]);
    if (member !== undefined) setMember(copy, name, member);
  }
  return copy;
}

function throughJson(value: unknown): unknown {
  const json = JSON.stringify(value) as string | undefined;
  return json === undefined ? undefined : (JSON.parse(json) as unknown);
}

function isPlain(value: JsonObject): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && typeof value['toJSON'] !== 'function';
}

/** Sets a member even when its name is `__proto__`, which plain assignment would take for the prototype. */
export function setMember(object: JsonObject, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    object[key] = value;
  }
}
