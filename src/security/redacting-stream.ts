import { StringDecoder } from 'node:string_decoder';
import { Transform } from 'node:stream';
import type { Redactor } from './redact.ts';
import { PRIVATE_KEY_BEGIN, PRIVATE_KEY_END } from './secret-patterns.ts';

const LONGEST_LINE = 64 * 1024;

/**
 * Text in, the same text without secrets out, line by line. A known secret is found wherever the chunks are cut, also
 * across lines: what could be its start is held back until more is known.
 */
export function redactingStream(redactor: Redactor): Transform {
  const decoder = new StringDecoder('utf8');
  let pending = '';
  let insidePrivateKey = false;

  function take(last: boolean): string {
    const cut = last ? pending.length : safeCut(pending, redactor);
    const text = pending.slice(0, cut);
    pending = pending.slice(cut);
    return text === '' ? '' : withoutPrivateKeys(text);
  }

  /** A private key runs over lines, so over calls: its beginning is replaced by the pattern, the rest is dropped here. */
  function withoutPrivateKeys(text: string): string {
    let rest = text;
    if (insidePrivateKey) {
      const end = PRIVATE_KEY_END.exec(rest);
      if (end === null) return '';
      insidePrivateKey = false;
      rest = rest.slice(end.index + end[0].length);
    }
    const begin = lastIndex(rest, PRIVATE_KEY_BEGIN);
    if (begin >= 0 && !PRIVATE_KEY_END.test(rest.slice(begin))) insidePrivateKey = true;
    return redactor.redact(rest);
  }

  return new Transform({
    decodeStrings: true,
    transform(chunk: Buffer, _encoding, callback) {
      pending += decoder.write(chunk);
      callback(null, take(false));
    },
    flush(callback) {
      pending += decoder.end();
      callback(null, take(true));
    },
  });
}

/** The last place where the text can be cut without cutting a known secret. */
function safeCut(text: string, redactor: Redactor): number {
  const newline = text.lastIndexOf('\n') + 1;
  let cut = newline > 0 || text.length <= LONGEST_LINE ? newline : text.length - LONGEST_LINE / 2;
  cut = Math.min(cut, redactor.openStart(text));
  for (const { start, end } of redactor.find(text)) if (start < cut && cut < end) cut = start;
  return cut;
}

function lastIndex(text: string, pattern: RegExp): number {
  let last = -1;
  for (const match of text.matchAll(new RegExp(pattern.source, 'g'))) last = match.index;
  return last;
}
