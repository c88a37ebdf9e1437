/** Gives equal strings one place in memory. What it holds is bounded: a string that comes again soon is found again. */
export interface StringPool {
  intern(text: string): string;
}

/** V8's JSON.parse shares shorter ones itself. */
const SHORTEST = 11;
/** Longer ones rarely repeat, and hashing them costs more than they save. */
const LONGEST = 64;
const SLOTS = 4096;

/** A direct-mapped table: a string that hashes to a taken slot takes it over, so nothing is ever swept. */
export function createStringPool(): StringPool {
  const slots = new Array<string>(SLOTS).fill('');
  return {
    intern(text) {
      const { length } = text;
      if (length < SHORTEST || length > LONGEST) return text;
      let hash = length;
      for (let i = 0; i < length; i++) hash = (hash * 31 + text.charCodeAt(i)) | 0;
      const slot = hash & (SLOTS - 1);
      const held = slots[slot];
      if (held === text) return held;
      slots[slot] = text;
      return text;
    },
  };
}
