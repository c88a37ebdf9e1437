/** What stands where a secret was. */
export const REDACTED = '[redacted]';

const SECRET_WORD =
  'pass(?:word|wd|phrase)|pwd|secret|token|credentials?|(?:api|access|private|secret|auth|signing)[_-]?key';

/** Names that end like a secret's but are not: verbs and cursors of the API. */
const HARMLESS_NAME = /^(?:retry|continue|page)_?token$/i;
const SECRET_NAME = new RegExp(`(?:${SECRET_WORD}|^(?:proxy-)?authorization|^x-registry-auth|^(?:set-)?cookie)$`, 'i');

/** Whether a field or variable of this name holds a secret: `DB_PASSWORD`, `apiToken`, `Authorization`; not `secretName`. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) && !HARMLESS_NAME.test(name);
}

const PRIVATE_KEY_BEGIN = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----/;
const PRIVATE_KEY_END = /-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----/;

// A block that has lost its end is redacted to the end of the text.
const PRIVATE_KEY = new RegExp(`${PRIVATE_KEY_BEGIN.source}[\\s\\S]*?(?:${PRIVATE_KEY_END.source}|$)`, 'g');

const HEADER =
  /\b((?:proxy-)?authorization|x-registry-auth|x-api-key|(?:set-)?cookie)(\\?["']?\s*[:=]\s*\\?["']?)((?:bearer|basic|digest|token)\s+)?[^\s"'\\,][^\r\n"'\\,]*/gi;

const BEARER = /\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}/gi;

const ASSIGNMENT = new RegExp(
  `([A-Za-z0-9_.-]*(?:${SECRET_WORD}))(\\\\?["']?\\s*[=:]\\s*)("(?:[^"\\\\]|\\\\.)*"|'[^']*'|\\\\"(?:[^"\\\\]|\\\\[^"])*\\\\"|[^\\s,;&"'(){}\\[\\]]+)`,
  'gi',
);

const URL_USER_PASSWORD = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@:"']*:[^\s/?#"']*@/gi;
const HTTP_USER = /\b(https?:\/\/)[^\s/?#:"'@]+@/gi;

const TOKEN_SHAPES = [
  /\bgh[pousr]_[A-Za-z0-9]{20,}/g,
  /\bgithub_pat_\w{20,}/g,
  /\bglpat-[\w-]{16,}/g,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g,
  /\bxox[abeoprs]-[\w-]{10,}/g,
  /\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}/g,
  /\bnpm_[A-Za-z0-9]{30,}/g,
  /\bdckr_(?:pat|oat)_[\w-]{16,}/g,
  /\bcf[a-z]{1,3}_[A-Za-z0-9_-]{30,}/g,
  /\bv1\.0-[0-9a-f]{24}-[0-9a-f]{100,}/g,
  /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g,
  // A Cloudflare token of the older form: exactly 40 characters of all three sorts, so that no Git commit is one.
  /(?<![\w+/=.-])(?=[\w-]*[A-Z])(?=[\w-]*[g-z])(?=[\w-]*[0-9])[\w-]{40}(?![\w+/=-])/g,
];

/**
 * Redacts what looks like a secret: private keys, `password=…`, authorization headers, passwords in URLs, tokens of
 * well-known shapes. A safety net only: secrets that are known go to `createRedactor().add`.
 */
export function redactPatterns(text: string): string {
  let result = text
    .replace(PRIVATE_KEY, REDACTED)
    .replace(
      HEADER,
      (_, name: string, colon: string, scheme: string | undefined) => name + colon + (scheme ?? '') + REDACTED,
    )
    .replace(BEARER, `$1${REDACTED}`)
    .replace(URL_USER_PASSWORD, `$1${REDACTED}@`)
    .replace(HTTP_USER, `$1${REDACTED}@`)
    .replace(ASSIGNMENT, redactAssignment);
  for (const shape of TOKEN_SHAPES) result = result.replace(shape, REDACTED);
  return result;
}

function redactAssignment(whole: string, name: string, sign: string, value: string): string {
  if (HARMLESS_NAME.test(name)) return whole;
  // Quotes stay, so that what was JSON or shell still reads as such.
  const quote = /^(?:\\?"|')/.exec(value)?.[0] ?? '';
  return name + sign + quote + REDACTED + quote;
}
