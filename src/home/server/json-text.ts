/** What is wrong with a JSON text, in the words of Go's `encoding/json`, as an API server says it. */
export class JsonTextError extends Error {
  override name = 'JsonTextError';
}

export interface JsonText {
  readonly value: unknown;
  /** Paths of fields that an object has twice, such as `spec.ports[0].name`; the last one counts. */
  readonly duplicateFields: readonly string[];
}

/**
 * Parses JSON.
 *
 * @throws JsonTextError
 */
export function parseJsonText(text: string, maxDepth: number): JsonText {
  const reader = new Reader(text, maxDepth);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // The engine found it out faster; what is wrong the reader says.
    reader.read();
    throw new JsonTextError(error instanceof Error ? error.message : String(error));
  }
  reader.read();
  return { value, duplicateFields: reader.duplicates };
}

const BLANK = new Set([' ', '\t', '\n', '\r']);
const STRING_END = /["\\\u0000-\u001f]/g;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** Walks over the text once, building nothing. */
class Reader {
  readonly duplicates: string[] = [];
  readonly #text: string;
  readonly #maxDepth: number;
  /** Where it is in the value: names of fields, and positions in lists. */
  readonly #path: (string | number)[] = [];
  #at = 0;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  read(): void {
    this.#value();
    this.#blanks();
    if (this.#at < this.#text.length) this.#unexpected('after top-level value');
  }

  #value(): void {
    this.#blanks();
    switch (this.#text[this.#at]) {
      case '{':
        this.#object();
        return;
      case '[':
        this.#array();
        return;
      case '"':
        this.#string();
        return;
      case 't':
        this.#literal('true');
        return;
      case 'f':
        this.#literal('false');
        return;
      case 'n':
        this.#literal('null');
        return;
      default:
        this.#number();
    }
  }

  #object(): void {
    this.#enter();
    this.#blanks();
    if (this.#take('}')) return;
    const seen = new Set<string>();
    for (;;) {
      this.#blanks();
      if (this.#text[this.#at] !== '"') this.#unexpected('looking for beginning of object key string');
      const key = this.#string();
      this.#path.push(key);
      if (seen.has(key)) this.duplicates.push(shown(this.#path));
      seen.add(key);
      this.#blanks();
      if (!this.#take(':')) this.#unexpected('after object key');
      this.#value();
      this.#path.pop();
      this.#blanks();
      if (this.#take('}')) return;
      if (!this.#take(',')) this.#unexpected('after object key:value pair');
    }
  }

  #array(): void {
    this.#enter();
    this.#blanks();
    if (this.#take(']')) return;
    for (let index = 0; ; index++) {
      this.#path.push(index);
      this.#value();
      this.#path.pop();
      this.#blanks();
      if (this.#take(']')) return;
      if (!this.#take(',')) this.#unexpected('after array element');
    }
  }

  #enter(): void {
    // The depth is that of the path, which grows by one with each object or list.
    if (this.#path.length >= this.#maxDepth) this.#unexpected('exceeded max depth');
    this.#at++;
  }

  #string(): string {
    const start = this.#at++;
    let escaped = false;
    for (;;) {
      STRING_END.lastIndex = this.#at;
      const end = STRING_END.exec(this.#text);
      this.#at = end === null ? this.#text.length : end.index;
      if (end === null) this.#unexpected('');
      if (end[0] === '"') break;
      if (end[0] !== '\\') this.#unexpected('in string literal');
      escaped = true;
      this.#escape();
    }
    this.#at++;
    const raw = this.#text.slice(start + 1, this.#at - 1);
    return escaped ? (JSON.parse(`"${raw}"`) as string) : raw;
  }

  #escape(): void {
    this.#at++;
    const letter = this.#text[this.#at] ?? '';
    if (letter !== 'u') {
      if (letter === '' || !'"\\/bfnrt'.includes(letter)) this.#unexpected('in string escape code');
      this.#at++;
      return;
    }
    for (let digit = 0; digit < 4; digit++) {
      this.#at++;
      if (!/[\da-fA-F]/.test(this.#text[this.#at] ?? ''))
        this.#unexpected(String.raw`in \u hexadecimal character escape`);
    }
    this.#at++;
  }

  #literal(word: string): void {
    for (let index = 0; index < word.length; index++) {
      const letter = word[index] ?? '';
      if (this.#text[this.#at] !== letter) this.#unexpected(`in literal ${word} (expecting ${quoted(letter)})`);
      this.#at++;
    }
  }

  #number(): void {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match !== null) {
      this.#at += match[0].length;
      return;
    }
    if (this.#take('-')) this.#unexpected('in numeric literal');
    this.#unexpected('looking for beginning of value');
  }

  #blanks(): void {
    while (BLANK.has(this.#text[this.#at] ?? '')) this.#at++;
  }

  #take(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #unexpected(where: string): never {
    const point = this.#text.codePointAt(this.#at);
    if (point === undefined) throw new JsonTextError('unexpected end of JSON input');
    throw new JsonTextError(`invalid character ${quoted(String.fromCodePoint(point))} ${where}`);
  }
}

/** As Go's `quoteChar`. */
function quoted(character: string): string {
  if (character === "'") return String.raw`'\''`;
  if (character === '"') return `'"'`;
  return `'${JSON.stringify(character).slice(1, -1)}'`;
}

function shown(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${String(part)}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}
