import { isSecretName, redactPatterns, REDACTED } from './secret-patterns.ts';

/** Takes secrets out of everything that leaves the process: logs, events, status, errors. */
export interface Redactor {
  /**
   * Makes a secret known, in every form it may appear in: as it is, in JSON, in base64 (alone or inside something
   * longer), URL-encoded, and line by line. Shorter than 4 characters is ignored: it would redact ordinary words.
   */
  add(secret: string | Uint8Array): void;
  /** Replaces known secrets, then what looks like one. */
  redact(text: string): string;
  /** A deep copy with every string redacted, and with the values of fields named like a secret replaced. */
  redactObject(value: unknown): unknown;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

const SHORTEST = 4;
const DEEPEST = 12;

/**
 * @example
 * const redactor = createRedactor();
 * redactor.add(password);
 * log(redactor.redact(`login with ${password} failed`)); // login with [redacted] failed
 */
export function createRedactor(): Redactor {
  const needles = new Set<string>();
  let matcher: RegExp | undefined;

  function add(secret: string | Uint8Array): void {
    const before = needles.size;
    for (const form of formsOf(secret)) needles.add(form);
    if (needles.size !== before) matcher = undefined;
  }

  function find(text: string): Span[] {
    if (needles.size === 0) return [];
    // A lookahead finds at every position, so that a secret which overlaps another is not left standing in part.
    matcher ??= new RegExp(
      `(?=(${[...needles]
        .sort((a, b) => b.length - a.length)
        .map((needle) => escapeRegExp(needle))
        .join('|')}))`,
      'g',
    );
    const spans: { start: number; end: number }[] = [];
    for (const match of text.matchAll(matcher)) {
      const end = match.index + (match[1] ?? '').length;
      const last = spans.at(-1);
      if (last !== undefined && match.index < last.end) last.end = Math.max(last.end, end);
      else spans.push({ start: match.index, end });
    }
    return spans;
  }

  function redactKnown(text: string): string {
    let result = '';
    let position = 0;
    for (const { start, end } of find(text)) {
      result += text.slice(position, start) + REDACTED;
      position = end;
    }
    return position === 0 ? text : result + text.slice(position);
  }

  function redact(text: string): string {
    return redactPatterns(redactKnown(text));
  }

  function redactObject(value: unknown, depth = 0): unknown {
    if (typeof value === 'string') return redact(value);
    if (typeof value !== 'object' || value === null) return typeof value === 'function' ? undefined : value;
    if (depth >= DEEPEST) return '[too deep]';
    if (value instanceof Uint8Array) return `[${value.length} bytes]`;
    if (value instanceof Date) return value;
    if (Array.isArray(value)) return value.map((item) => redactObject(item, depth + 1));
    const entries = Object.entries(value instanceof Error ? errorFields(value) : value);
    return Object.fromEntries(entries.map(([name, item]) => [redactKnown(name), redactField(name, item, depth)]));
  }

  function redactField(name: string, item: unknown, depth: number): unknown {
    const isText = typeof item === 'string' || typeof item === 'number' || item instanceof Uint8Array;
    if (isText && isSecretName(name)) return REDACTED;
    return redactObject(item, depth + 1);
  }

  return { add, redact, redactObject: (value) => redactObject(value) };
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

function errorFields(error: Error): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  const fields = Object.fromEntries(Object.entries(error));
  return { ...fields, name, message, stack, ...(cause === undefined ? {} : { cause }) };
}

function formsOf(secret: string | Uint8Array): string[] {
  const bytes = Buffer.from(typeof secret === 'string' ? Buffer.from(secret, 'utf8') : secret);
  const text = bytes.toString('utf8');
  const forms = [text, text.trim(), JSON.stringify(text).slice(1, -1), ...urlForms(text), ...base64Forms(bytes)];
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  // "-----BEGIN …" and the like say what the secret is, and would redact every certificate.
  if (lines.length > 1) forms.push(...lines.filter((line) => !line.startsWith('-----')));
  return forms.filter((form) => form.length >= SHORTEST);
}

function urlForms(text: string): string[] {
  if (!text.isWellFormed()) return [];
  const component = encodeURIComponent(text);
  return [component, component.replace(/%20/g, '+'), new URLSearchParams([['', text]]).toString().slice(1)];
}

/**
 * The base64 of the secret alone, and the part of it that stays the same when something of any length stands before and
 * after the secret (`user:secret` in a Basic header; the JSON of a registry login).
 */
function base64Forms(bytes: Buffer): string[] {
  if (bytes.length < SHORTEST) return [];
  const forms = [bytes.toString('base64'), bytes.toString('base64').replace(/=+$/, '')];
  for (const before of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(before), bytes]);
    const whole = padded.subarray(0, padded.length - (padded.length % 3)).toString('base64');
    const inner = whole.slice(before === 0 ? 0 : 4);
    // Few characters would turn up in ordinary base64 by chance.
    if (inner.length >= 8) forms.push(inner);
  }
  return forms.flatMap((form) => [form, form.replace(/\+/g, '-').replace(/\//g, '_')]);
}
