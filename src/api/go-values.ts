import { goQuote } from './violation.ts';

/** What Go's standard library says of values that it cannot read, or `undefined` when it can. */

const BASE64 = /[A-Za-z0-9+/]/;

/** `encoding/base64`, standard alphabet with padding; line breaks do not count. */
export function base64Problem(text: string): string | undefined {
  const corrupt = (at: number): string => `illegal base64 data at input byte ${String(at)}`;
  let digits = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (char === '\n' || char === '\r') continue;
    if (BASE64.test(char)) {
      digits++;
      continue;
    }
    if (char !== '=' || digits % 4 < 2) return corrupt(i);
    const rest = text.slice(i + 1);
    const padding = /^[\r\n]*/.exec(rest)?.[0].length ?? 0;
    let next = i + 1 + padding;
    if (digits % 4 === 2) {
      if (next >= text.length) return corrupt(text.length);
      if (text.charAt(next) !== '=') return corrupt(next - 1);
      next++;
    }
    while (/[\r\n]/.test(text.charAt(next))) next++;
    return next < text.length ? corrupt(next) : undefined;
  }
  return digits % 4 === 0 ? undefined : corrupt(text.length - (digits % 4));
}

type Element = readonly [layout: string, pattern: RegExp, range?: readonly [name: string, from: number, to: number]];

const DATE: readonly Element[] = [
  ['2006', /^\d{4}/],
  ['-', /^-/],
  ['01', /^\d\d/, ['month', 1, 12]],
  ['-', /^-/],
  ['02', /^\d\d/, ['day', 1, 31]],
  ['T', /^T/],
  ['15', /^\d\d/, ['hour', 0, 23]],
  [':', /^:/],
  ['04', /^\d\d/, ['minute', 0, 59]],
  [':', /^:/],
  ['05', /^\d\d/, ['second', 0, 59]],
];
const ZONE: Element = ['Z07:00', /^(Z|[+-]\d\d:\d\d)/];
/** Go takes a fraction after the seconds even where the layout has none. */
const ANY_FRACTION: Element = ['', /^([.,]\d+)?/];
const MICROSECONDS: Element = ['.000000', /^\.\d{6}(?!\d)/];

/** `time.Parse`, by the layout of `metav1.Time` or of `metav1.MicroTime`. */
export function timeProblem(text: string, format: 'date-time' | 'micro-time'): string | undefined {
  const layout = format === 'date-time' ? '2006-01-02T15:04:05Z07:00' : '2006-01-02T15:04:05.000000Z07:00';
  let rest = text;
  for (const [element, pattern, range] of [...DATE, format === 'date-time' ? ANY_FRACTION : MICROSECONDS, ZONE]) {
    const found = pattern.exec(rest)?.[0];
    if (found === undefined) {
      const where = `cannot parse ${goQuote(rest)} as ${goQuote(element)}`;
      return `parsing time ${goQuote(text)} as ${goQuote(layout)}: ${where}`;
    }
    if (range !== undefined && (Number(found) < range[1] || Number(found) > range[2])) {
      return `parsing time ${goQuote(text)}: ${range[0]} out of range`;
    }
    rest = rest.slice(found.length);
  }
  return rest === '' ? undefined : `parsing time ${goQuote(text)}: extra text: ${goQuote(rest)}`;
}

/** `encoding/json` into a map. */
export function jsonMapProblem(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // V8 quotes the text in its messages, which may hold a password: only the character at fault is taken over.
    const message = String(error);
    const char =
      /Unexpected token '(.)'/u.exec(message)?.[1] ?? text.charAt(Number(/position (\d+)/.exec(message)?.[1]));
    if (/end of JSON/.test(message) || char === '') return 'unexpected end of JSON input';
    return `invalid character '${char}' looking for beginning of value`;
  }
  if (value === null || (typeof value === 'object' && !Array.isArray(value))) return undefined;
  const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
  return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`;
}
