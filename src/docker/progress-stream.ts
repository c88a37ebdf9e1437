import type { Readable } from 'node:stream';
import { GridferryError } from '../errors.ts';
import { errorFromStream } from './engine-error.ts';

/** One line of what load and pull answer. */
export interface ProgressLine {
  readonly stream?: string;
  readonly status?: string;
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly error?: string;
  readonly errorDetail?: { readonly message?: string };
}

const MAX_LINE = 256 * 1024;

/**
 * Reads a stream of JSON lines to its end. The answer began with 200, so an `error` in a line is the only sign of
 * failure there is: it is thrown.
 */
export async function readProgress(
  stream: Readable,
  where: string,
  doing: string,
  onLine?: (line: ProgressLine) => void,
): Promise<void> {
  let buffered = '';
  let failure: string | undefined;
  const take = (text: string): void => {
    if (text.trim() === '') return;
    const line = parseLine(text);
    if (line === undefined) return;
    failure ??= line.errorDetail?.message ?? line.error;
    onLine?.(line);
  };
  stream.setEncoding('utf8');
  for await (const chunk of stream as AsyncIterable<string>) {
    buffered += chunk;
    const lines = buffered.split('\n');
    buffered = lines.pop() ?? '';
    if (buffered.length > MAX_LINE) {
      throw new GridferryError(
        'GF_DOCKER_UNEXPECTED',
        `Docker on ${where} answered something that is no progress; see its log.`,
      );
    }
    for (const line of lines) take(line);
  }
  take(buffered);
  if (failure !== undefined) throw errorFromStream(where, doing, failure);
}

function parseLine(text: string): ProgressLine | undefined {
  try {
    return JSON.parse(text) as ProgressLine;
  } catch {
    // A line that is no JSON carries no error field either; the result is verified in any case.
    return undefined;
  }
}
